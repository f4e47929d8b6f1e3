# Writes the reference values that the tests of comparisons are held against: compare_*.csv, beside cases.csv.
# Run in this folder: Rscript make_compare.R   (R with pROC 1.18; the tests need neither)
# What no package at hand computes is written out from the formulas of the papers, by another way than the Python.
suppressMessages(library(pROC))
options(digits = 17)
set.seed(19980430)
save <- function(table, file) write.csv(format(table, digits = 17, trim = TRUE), file, row.names = FALSE, quote = FALSE)

# --- unpaired areas: pROC's test, and the interval that belongs to its t ---------------------------------------------
cases <- read.csv("cases.csv")
curve <- function(name, column) {
  data <- cases[cases$dataset == name, ]
  roc(data$label, data[[column]], levels = c(0, 1), direction = "<", quiet = TRUE)
}
names_a <- c("paper_size", "balanced", "imbalanced", "coarse", "ratings", "below_chance", "tiny", "saturated")
names_b <- c("balanced", "imbalanced", "coarse", "ratings", "below_chance", "tiny", "saturated", "paper_size")
unpaired <- do.call(rbind, lapply(seq_along(names_a), function(i) {
  one <- curve(names_a[i], "a"); two <- curve(names_b[i], "b")
  test <- suppressWarnings(roc.test(one, two, method = "delong", paired = FALSE))
  difference <- as.numeric(auc(one)) - as.numeric(auc(two))
  error <- difference / as.numeric(test$statistic)
  half <- qt(0.975, as.numeric(test$parameter)) * error
  data.frame(a = names_a[i], b = names_b[i], difference = difference, df = as.numeric(test$parameter),
             low = difference - half, high = difference + half, p = test$p.value)
}))
save(unpaired, "compare_unpaired.csv")

# --- paired shares --------------------------------------------------------------------------------------------------
# Tango's statistic with the constrained likelihood maximised by a search instead of the closed form
tango_z <- function(f, g, n, delta) {
  lowest <- max(0, -delta); highest <- (1 - delta) / 2
  term <- function(count, p) if (count == 0) 0 else count * log(p)
  likelihood <- function(p21) term(f, p21 + delta) + term(g, p21) + term(n - f - g, 1 - 2 * p21 - delta)
  p21 <- optimize(likelihood, c(lowest, highest), maximum = TRUE, tol = 1e-13)$maximum
  (f - g - n * delta) / sqrt(n * (2 * p21 + delta - delta^2))
}
tango <- function(f, g, n, z = qnorm(0.975)) {
  estimate <- (f - g) / n
  side <- function(from, to, sign) {
    if (abs(to - from) < 1e-9) return(to)
    uniroot(function(d) tango_z(f, g, n, d) - sign * z, c(from, to), tol = 1e-12)$root
  }
  c(side(-1 + 1e-7, estimate, 1), side(estimate, 1 - 1e-7, -1))
}
wilson <- function(x, n, z = qnorm(0.975)) {
  p <- x / n
  (2 * n * p + z^2 + c(-1, 1) * z * sqrt(z^2 + 4 * n * p * (1 - p))) / (2 * (n + z^2))
}
newcombe <- function(e, f, g, h) {
  n <- e + f + g + h
  first <- wilson(e + f, n); second <- wilson(e + g, n)
  numerator <- e * h - f * g
  if (numerator > 0) numerator <- max(numerator - n / 2, 0)
  denominator <- sqrt((e + f) * (g + h) * (e + g) * (f + h))
  phi <- if (denominator == 0) 0 else numerator / denominator
  p1 <- (e + f) / n; p2 <- (e + g) / n
  dl1 <- p1 - first[1]; du1 <- first[2] - p1; dl2 <- p2 - second[1]; du2 <- second[2] - p2
  c(p1 - p2 - sqrt(dl1^2 - 2 * phi * dl1 * du2 + du2^2), p1 - p2 + sqrt(du1^2 - 2 * phi * du1 * dl2 + dl2^2))
}
mid_p <- function(f, g) {
  if (f == g) return(1 - dbinom(f, f + g, 0.5) / 2)
  smaller <- min(f, g)
  2 * (pbinom(smaller - 1, f + g, 0.5) + dbinom(smaller, f + g, 0.5) / 2)
}
tables <- rbind(c(1, 1, 7, 12), c(36, 12, 2, 0), c(20, 6, 1, 5), c(9, 2, 0, 1), c(3, 4, 4, 3), c(0, 1, 3, 0),
                c(30, 0, 9, 2), c(150, 31, 12, 40), c(5, 3, 1, 0))
shares <- do.call(rbind, lapply(seq_len(nrow(tables)), function(i) {
  e <- tables[i, 1]; f <- tables[i, 2]; g <- tables[i, 3]; h <- tables[i, 4]
  score <- tango(f, g, e + f + g + h); closed <- newcombe(e, f, g, h)
  data.frame(both = e, only_a = f, only_b = g, neither = h,
             p_exact = binom.test(f, f + g)$p.value, p_mid = mid_p(f, g),
             p = mcnemar.test(matrix(c(e, g, f, h), 2), correct = FALSE)$p.value,
             tango_low = score[1], tango_high = score[2], newcombe_low = closed[1], newcombe_high = closed[2])
}))
save(shares, "compare_shares.csv")

# --- paired shares of several lesions a patient: Obuchowski 1998, and its inversion around Tango's variance -----------
patients <- 24
sizes <- sample(1:4, patients, replace = TRUE)
patient <- rep(seq_len(patients), sizes)
ease <- rnorm(patients)[patient]; liking <- rnorm(patients)[patient]
right_a <- as.integer(ease + liking + rnorm(length(patient)) + 0.9 > 0)
right_b <- as.integer(ease - liking + rnorm(length(patient)) > 0)
write.csv(data.frame(patient, right_a, right_b), "compare_lesions.csv", row.names = FALSE, quote = FALSE)
sums <- tapply(right_a - right_b, patient, sum)
counts <- tapply(right_a, patient, length)
obuchowski <- sum(sums)^2 / sum(sums^2)
gain <- right_a - right_b
squared <- function(delta) {
  effect <- max(1, sum((sums - counts * delta)^2) / sum((gain - delta)^2))
  tango_z(sum(gain > 0), sum(gain < 0), length(gain), delta)^2 / effect
}
edge <- function(from, to) uniroot(function(d) squared(d) - qnorm(0.975)^2, c(from, to), tol = 1e-12)$root
save(data.frame(difference = mean(gain), p = pchisq(obuchowski, 1, lower.tail = FALSE),
                low = edge(-1 + 1e-6, mean(gain)), high = edge(mean(gain), 1 - 1e-6)), "compare_clustered.csv")

# --- adjusted p-values ------------------------------------------------------------------------------------------------
p <- c(round(runif(12)^3, 4), 0, 1, 0.03, 0.03)
save(data.frame(p = p, holm = p.adjust(p, "holm"), bh = p.adjust(p, "BH")), "compare_adjusted.csv")

# --- corrected resampled t --------------------------------------------------------------------------------------------
a <- round(runif(15, 0.7, 0.95), 3); b <- round(a - rnorm(15, 0.03, 0.05), 3)
corrected <- function(x) sqrt(var(x) * (1 / length(x) + 9 / 36))
save(data.frame(a = a, b = b), "compare_fold_values.csv")
q <- qt(0.975, 14)
save(data.frame(mean = mean(a), mean_low = mean(a) - q * corrected(a), mean_high = mean(a) + q * corrected(a),
                low = mean(a - b) - q * corrected(a - b), high = mean(a - b) + q * corrected(a - b),
                p = 2 * pt(-abs(mean(a - b) / corrected(a - b)), 14)), "compare_resampled.csv")

# --- cross-validated areas: LeDell 2015 as in ci.cvAUC, and the influence by patients and repeats, pair by pair -------
n <- 80
label <- rep(c(0, 1), c(60, 20))
lesion_of <- c(rep(1:50, length.out = 60), 51:64, 51:54, 1:2)  # some patients with several lesions, two with both kinds
folds <- do.call(rbind, lapply(1:3, function(repeat_) {
  fold <- integer(n)
  for (value in 0:1) fold[label == value] <- sample(rep(1:5, length.out = sum(label == value)))
  data.frame(rep = repeat_, fold = fold, case = seq_len(n), patient = lesion_of, label = label,
             score = round(rnorm(n) + label * 1.2 + fold, 6))
}))
write.csv(folds, "compare_folds.csv", row.names = FALSE, quote = FALSE)
kernel <- function(pos, neg) (outer(pos, neg, ">") + outer(pos, neg, "==") / 2)
area <- function(data) mean(kernel(data$score[data$label == 1], data$score[data$label == 0]))
ledell <- function(data) {
  w1 <- 1 / mean(data$label == 1); w0 <- 1 / mean(data$label == 0)
  per_fold <- sapply(split(data, data$fold), function(one) {
    k <- kernel(one$score[one$label == 1], one$score[one$label == 0])
    mean(c(w1 * (rowMeans(k) - mean(k)), w0 * (colMeans(k) - mean(k)))^2)
  })
  mean(per_fold) / nrow(data)
}
influence <- function(data) {
  parts <- split(data, list(data$rep, data$fold), drop = TRUE)
  value <- mean(sapply(parts, area))
  share <- setNames(numeric(64), 1:64)
  known <- sapply(c(1, 0), function(l) length(unique(data$patient[data$label == l])))
  factor <- sqrt(known / (known - 1))
  for (one in parts) {
    k <- kernel(one$score[one$label == 1], one$score[one$label == 0])
    pos <- factor[1] * (rowMeans(k) - value) / (nrow(k) * length(parts))
    neg <- factor[2] * (colMeans(k) - value) / (ncol(k) * length(parts))
    for (i in seq_along(pos)) { who <- one$patient[one$label == 1][i]; share[who] <- share[who] + pos[i] }
    for (i in seq_along(neg)) { who <- one$patient[one$label == 0][i]; share[who] <- share[who] + neg[i] }
  }
  c(value, sum(share^2))
}
first <- folds[folds$rep == 1, ]
clustered <- influence(folds)
between <- sapply(split(first, first$fold), area)
save(data.frame(cv_auc = mean(between), ledell_variance = ledell(first), fold_variance = mean((between - mean(between))^2),
                repeated_auc = clustered[1], clustered_variance = clustered[2]), "compare_cvauc.csv")

# --- paired bootstrap of the difference in average precision, drawn case by case --------------------------------------
average_precision <- function(label, score) {
  thresholds <- sort(unique(score), decreasing = TRUE)
  hits <- sapply(thresholds, function(t) sum(label[score >= t])); called <- sapply(thresholds, function(t) sum(score >= t))
  sum(diff(c(0, hits)) / sum(label) * hits / called)
}
paper <- cases[cases$dataset == "paper_size", ]
gap <- function(data) average_precision(data$label, data$a) - average_precision(data$label, data$b)
draws <- replicate(6000, {
  rows <- c(sample(which(paper$label == 1), replace = TRUE), sample(which(paper$label == 0), replace = TRUE))
  gap(paper[rows, ])
})
save(data.frame(difference = gap(paper), error = sd(draws)), "compare_bootstrap.csv")
