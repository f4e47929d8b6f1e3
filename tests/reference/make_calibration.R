# Writes the reference values that the tests of calibration, miscalibration and decision are held against.
# Run in this folder: Rscript make_calibration.R   (R with brglm2 0.9; the tests need neither)
library(brglm2)
options(digits = 17)
set.seed(19580101)

draw <- function(name, patients, share, gain, offset, lesions = 1, digits = 4) {
  n <- patients * lesions
  patient <- rep(seq_len(patients), lesions)
  label <- rbinom(patients, 1, share)[patient]
  if (lesions > 1) label <- ifelse(runif(n) < 0.2, 1 - label, label)
  score <- round(rnorm(n) + 1.2 * label + rnorm(patients)[patient] * (lesions > 1), 2)
  probability <- round(plogis(gain * score + offset), digits)
  data.frame(dataset = name, patient = patient, label = label, score = score, probability = probability)
}
separated <- data.frame(dataset = "separated", patient = 1:12, label = rep(0:1, c(8, 4)),
                        score = c(-2.1, -1.4, -1.3, -0.9, -0.4, 0, 0.2, 0.3, 0.8, 1.1, 1.7, 2.4))
separated$probability <- round(plogis(separated$score), 4)
touching <- separated
touching$dataset <- "touching"
touching[9, c("score", "probability")] <- touching[8, c("score", "probability")]
cases <- rbind(
  draw("few", 30, 0.3, 1, -1),
  draw("overconfident", 150, 0.25, 2.5, -1),
  draw("timid", 80, 0.5, 0.4, 0.5),
  draw("coarse", 60, 0.4, 1, -0.5, digits = 1),
  draw("lesions", 40, 0.35, 1.5, -1, lesions = 3),
  separated, touching
)
cases$probability <- pmin(pmax(cases$probability, 0.001), 0.999)

level <- qchisq(0.95, 1)
profile_ends <- function(deviance_at, value, best, allowed) {
  excess <- function(v) deviance_at(v) - best - allowed
  find <- function(side) {
    far <- value + side
    while (excess(far) < 0) far <- value + 2 * (far - value)
    uniroot(excess, sort(c(value, far)), tol = 1e-12)$root
  }
  c(find(-1), find(1))
}
# patients count by how much the squared sums of their score contributions exceed the sum of the squares
effect_of <- function(contributions, patient) {
  max(1, sum(tapply(contributions, patient, sum)^2) / sum(contributions^2))
}

# the penalised deviance of one free coefficient, written out: -2 (log L + log det(I) / 2)
penalised <- function(y, x, a, b) {
  eta <- a + b * x
  w <- plogis(eta) * plogis(-eta)
  spread <- sum(w * (x - sum(w * x) / sum(w))^2)
  -2 * (sum(y * plogis(eta, log.p = TRUE) + (1 - y) * plogis(-eta, log.p = TRUE)) + (log(sum(w)) + log(spread)) / 2)
}
# it has several minima: the lowest of many short stretches
least <- function(f) min(sapply(seq(-30, 29.5, by = 0.5), function(l) optimize(f, c(l, l + 0.7), tol = 1e-12)$objective))

line_of <- function(data) {
  y <- data$label
  x <- qlogis(data$probability)
  no_fit <- max(x[y == 0]) <= min(x[y == 1])
  control <- if (no_fit) brglmControl(epsilon = 1e-12, maxit = 500) else glm.control(epsilon = 1e-14, maxit = 100)
  fit <- if (no_fit) glm(y ~ x, family = binomial, method = "brglmFit", type = "AS_mean", control = control)
         else glm(y ~ x, family = binomial, control = control)
  share <- fitted(fit)
  influence <- cbind(1, x) %*% solve(t(cbind(1, x)) %*% (share * (1 - share) * cbind(1, x))) * (y - share)
  ends <- lapply(1:2, function(which) {
    allowed <- level * effect_of(influence[, which], data$patient)
    at <- if (no_fit && which == 1) function(a) least(function(b) penalised(y, x, a, b))
          else if (no_fit) function(b) least(function(a) penalised(y, x, a, b))
          else if (which == 1) function(a) deviance(glm(y ~ 0 + x, offset = rep(a, length(y)), family = binomial,
                                                        control = control))
          else function(b) deviance(glm(y ~ 1, offset = b * x, family = binomial, control = control))
    best <- if (no_fit) penalised(y, x, coef(fit)[1], coef(fit)[2]) else deviance(fit)
    suppressWarnings(profile_ends(at, coef(fit)[which], best, allowed))
  })
  data.frame(intercept = coef(fit)[1], intercept_low = ends[[1]][1], intercept_high = ends[[1]][2],
             slope = coef(fit)[2], slope_low = ends[[2]][1], slope_high = ends[[2]][2], firth = no_fit)
}

large_of <- function(data) {
  y <- data$label
  x <- qlogis(data$probability)
  control <- glm.control(epsilon = 1e-14, maxit = 100)
  fit <- glm(y ~ 1, offset = x, family = binomial, control = control)
  at <- function(a) -2 * sum(y * plogis(a + x, log.p = TRUE) + (1 - y) * plogis(-a - x, log.p = TRUE))
  allowed <- level * effect_of(y - fitted(fit), data$patient)
  ends <- profile_ends(at, coef(fit), deviance(fit), allowed)
  data.frame(large = coef(fit), large_low = ends[1], large_high = ends[2])
}

platt_of <- function(data) {
  m <- sum(data$label)
  b <- sum(1 - data$label)
  target <- ifelse(data$label == 1, (m + 1) / (m + 2), 1 / (b + 2))
  fit <- glm(target ~ score, family = quasibinomial, data = data, control = glm.control(epsilon = 1e-14, maxit = 100))
  data.frame(platt_at_0 = plogis(coef(fit)[1]), platt_at_1 = plogis(sum(coef(fit))))
}

# mean squares with the t interval of patient totals, by the delta method
brier_of <- function(data) {
  y <- data$label
  each <- (data$probability - y)^2
  patients <- length(unique(data$patient))
  error <- function(influence) {
    totals <- tapply(influence, data$patient, sum)
    qt(0.975, patients - 1) * sqrt(patients * var(as.vector(totals)))
  }
  brier <- mean(each)
  half <- error((each - brier) / length(y)) / (brier * (1 - brier))
  share <- mean(y)
  chance <- (share - y)^2
  ratio <- brier / mean(chance)
  # the ratio of two means, each moved by every case, the prevalence estimated as well
  moves <- ((each - brier) - ratio * (1 - 2 * share) * (y - share)) / (mean(chance) * length(y))
  data.frame(brier = brier, brier_low = plogis(qlogis(brier) - half), brier_high = plogis(qlogis(brier) + half),
             skill = 1 - ratio, skill_low = 1 - ratio * exp(error(moves) / ratio),
             skill_high = 1 - ratio * exp(-error(moves) / ratio))
}

by_dataset <- function(f) do.call(rbind, lapply(unique(cases$dataset), f))
values <- by_dataset(function(name) {
  data <- cases[cases$dataset == name, ]
  data.frame(dataset = name, line_of(data), large_of(data), platt_of(data), brier_of(data))
})
isotonic <- by_dataset(function(name) {
  data <- cases[cases$dataset == name, ]
  data <- data[order(data$score, -data$label), ]
  fit <- isoreg(data$score, data$label)
  unique(data.frame(dataset = name, score = data$score, share = fit$yf))
})
decision <- by_dataset(function(name) {
  data <- cases[cases$dataset == name, ]
  called <- function(t) data$probability >= t
  do.call(rbind, lapply(c(0.05, 0.1, 0.25, 0.4, 0.6, 0.9), function(t) {
    n <- nrow(data)
    hits <- sum(called(t) & data$label == 1)
    alarms <- sum(called(t) & data$label == 0)
    sensitivity <- hits / sum(data$label == 1)
    specificity <- 1 - alarms / sum(data$label == 0)
    data.frame(dataset = name, threshold = t, model = hits / n - alarms / n * t / (1 - t),
               all = mean(data$label) - (1 - mean(data$label)) * t / (1 - t),
               rare = 0.05 * sensitivity - 0.95 * (1 - specificity) * t / (1 - t))
  }))
})
save <- function(table, file) write.csv(format(table, digits = 17, trim = TRUE), file, row.names = FALSE, quote = FALSE)
write.csv(cases, "calibration_cases.csv", row.names = FALSE, quote = FALSE)
save(values, "calibration.csv")
save(isotonic, "calibration_isotonic.csv")
save(decision, "decision.csv")
