# Writes the reference values that the tests of agreement are held against.
# Run in this folder: Rscript make_agreement.R   (R with psych 2.2 and psy 1.2; the tests need neither)
# Values of two readers are psych's and psy's; the variances are the formulas of Fleiss, Cohen & Everitt (1969) and of
# Gwet (2008), written out here once more (without the finite population; n - 1 in Gwet's turned into n).
suppressMessages({library(psych); library(psy)})
options(digits = 17, warn = -1)
set.seed(20261102)

draw <- function(name, n, readers, cuts, rho, missing = 0) {
  case <- rnorm(n) * sqrt(rho)
  do.call(rbind, lapply(seq_len(readers), function(reader) {
    rating <- findInterval(case + rnorm(n) * sqrt(1 - rho), cuts) + 1
    rating[runif(n) < missing] <- NA
    data.frame(dataset = name, case = seq_len(n), reader = reader, rating = rating)
  }))
}
cases <- rbind(
  draw("birads", 46, 2, c(-1, 0, 0.8, 1.5), 0.8),
  draw("yes_no", 40, 2, 0.5, 0.7),
  draw("rare", 60, 2, 1.3, 0.8),
  draw("three_steps", 25, 2, c(-0.5, 0.5), 0.5),
  draw("panel", 30, 5, c(-1, 0, 0.8, 1.5), 0.7),
  draw("panel_yes_no", 50, 3, 0.8, 0.8)
)
wide <- function(name) {
  data <- cases[cases$dataset == name, ]
  matrix(data$rating, nrow = max(data$case))
}
weights_of <- function(kind, q) {
  d <- abs(outer(seq_len(q), seq_len(q), "-"))
  switch(kind, none = diag(q), linear = 1 - d / (q - 1), quadratic = 1 - (d / (q - 1))^2)
}

# the large-sample variance of a weighted kappa, equations of the paper of 1969
everitt <- function(p, w) {
  n <- attr(p, "n"); row <- rowSums(p); column <- colSums(p)
  observed <- sum(w * p); chance <- sum(w * outer(row, column))
  along_row <- as.vector(w %*% column); along_column <- as.vector(row %*% w)
  inner <- w * (1 - chance) - outer(along_row, along_column, "+") * (1 - observed)
  (sum(p * inner^2) - (observed * chance - 2 * chance + observed)^2) / (n * (1 - chance)^4)
}

two <- do.call(rbind, lapply(c("birads", "yes_no", "rare", "three_steps"), function(name) {
  r <- wide(name); q <- length(unique(as.vector(r)))
  f <- function(x) factor(x, levels = sort(unique(as.vector(r))))
  p <- table(f(r[, 1]), f(r[, 2])) / nrow(r); p <- matrix(p, q); attr(p, "n") <- nrow(r)
  do.call(rbind, lapply(c("none", "linear", "quadratic"), function(kind) {
    w <- weights_of(kind, q)
    by_psych <- cohen.kappa(r, w = w)
    value <- if (kind == "none") by_psych$kappa else by_psych$weighted.kappa
    again <- switch(kind, none = ckappa(r)$kappa, linear = wkappa(r, weights = "absolute")$kappa,
                    quadratic = wkappa(r)$kappa)
    stopifnot(abs(value - again) < 1e-12)
    if (kind == "none") stopifnot(abs(by_psych$var.kappa - everitt(p, w)) < 1e-12)
    data.frame(dataset = name, weights = kind, kappa = value, variance = everitt(p, w))
  }))
}))

gwet <- function(r, w, kind) {
  levels <- sort(unique(as.vector(r))); q <- length(levels); n <- nrow(r)
  counts <- t(apply(r, 1, function(x) sapply(levels, function(l) sum(x == l, na.rm = TRUE))))
  m <- rowSums(counts)
  each <- sapply(seq_len(n), function(i) {
    total <- 0
    for (k in seq_len(q)) total <- total + counts[i, k] * (sum(w[k, ] * counts[i, ]) - 1)
    total / (m[i] * (m[i] - 1))
  })
  pi <- colMeans(counts / m)
  observed <- mean(each)
  if (kind == "fleiss") {
    chance <- sum(pi^2)
    chance_each <- as.vector((counts / m) %*% pi)
  } else {
    scale <- sum(w) / (q * (q - 1))
    chance <- scale * sum(pi * (1 - pi))
    chance_each <- scale * as.vector((counts / m) %*% (1 - pi))
  }
  value <- (observed - chance) / (1 - chance)
  single <- (each - chance) / (1 - chance) - 2 * (1 - value) * (chance_each - chance) / (1 - chance)
  data.frame(value = value, variance = sum((single - value)^2) / n^2, agreement = observed)
}
sets <- c("birads", "rare", "panel", "panel_yes_no")
many <- do.call(rbind, lapply(sets, function(name) {
  r <- wide(name); q <- length(unique(as.vector(r)))
  rows <- list(cbind(data.frame(dataset = name, coefficient = "fleiss", weights = "none"),
                     gwet(r, weights_of("none", q), "fleiss")))
  for (kind in c("none", "linear", "quadratic")) {
    rows[[length(rows) + 1]] <- cbind(data.frame(dataset = name, coefficient = "gwet", weights = kind),
                                      gwet(r, weights_of(kind, q), "gwet"))
  }
  do.call(rbind, rows)
}))

save <- function(table, file) write.csv(format(table, digits = 15, trim = TRUE), file, row.names = FALSE, quote = FALSE)
write.csv(cases, "agreement_cases.csv", row.names = FALSE, quote = FALSE)
save(two, "agreement_two.csv")
save(many, "agreement_many.csv")
