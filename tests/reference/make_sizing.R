# Writes the reference values that the tests of sizing and widths are held against.
# Run in this folder: Rscript make_sizing.R   (R with pROC 1.18; the tests need neither)
suppressMessages(library(pROC))

save <- function(table, file) write.csv(format(table, digits = 15, trim = TRUE), file, row.names = FALSE, quote = FALSE)
z <- function(confidence) qnorm(0.5 + confidence / 2)

# --- the standard error of one area --------------------------------------------------------------------------------
# Hanley & McNeil 1982 from their model itself, not from their closed form: exponential scores, whose two chances are
# integrated numerically.
exponential <- function(area, malignant, benign) {
  rate <- (1 - area) / area
  q1 <- integrate(function(y) exp(-y) * exp(-rate * y)^2, 0, Inf, rel.tol = 1e-12)$value
  q2 <- integrate(function(x) rate * exp(-rate * x) * (1 - exp(-x))^2, 0, Inf, rel.tol = 1e-12)$value
  (area * (1 - area) + (malignant - 1) * (q1 - area^2) + (benign - 1) * (q2 - area^2)) / (malignant * benign)
}

# Newcombe's method 5 by hand, for the interval's two ends.
score_width <- function(area, malignant, benign, confidence) {
  spread <- function(t) t * (1 - t) * (1 + ((malignant + benign) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))) /
    (malignant * benign)
  off <- function(t) (t - area)^2 - z(confidence)^2 * spread(t)
  upper <- if (area == 1) 1 else uniroot(off, c(area, 1 - 1e-12), tol = 1e-14)$root
  upper - uniroot(off, c(1e-12, area - 1e-12), tol = 1e-14)$root
}

widths <- expand.grid(area = c(0.55, 0.7, 0.85, 0.95), malignant = c(5, 20, 51), benign = c(12, 58, 200),
                      confidence = c(0.9, 0.95))
widths$error <- mapply(function(a, m, n) sqrt(exponential(a, m, n)), widths$area, widths$malignant, widths$benign)
widths$plain <- with(widths, pmin(1, area + z(confidence) * error) - pmax(0, area - z(confidence) * error))
widths$score <- mapply(score_width, widths$area, widths$malignant, widths$benign, widths$confidence)
save(widths, "sizing_widths.csv")

# --- a share with Wilson's interval, by R's own interval for every possible count ----------------------------------
share_widths <- expand.grid(n = c(1, 4, 12, 49, 150), share = c(0.02, 0.5, 0.8, 0.95, 1), confidence = c(0.9, 0.95))
each <- lapply(seq_len(nrow(share_widths)), function(i) with(share_widths[i, ], {
  width <- sapply(0:n, function(k) diff(suppressWarnings(prop.test(k, n, correct = FALSE, conf.level = confidence))$conf.int))
  chance <- dbinom(0:n, n, share)
  # counts that mirror each other have the same width, but for rounding
  order <- order(round(width, 10))
  limit <- width[order][which(cumsum(chance[order]) >= 0.8 - 1e-12)[1]]
  c(mean = sum(width * chance), limit = limit)
}))
save(cbind(share_widths, do.call(rbind, each)), "sizing_shares.csv")

# --- a difference of two areas -------------------------------------------------------------------------------------
# Binormal scores with equal spread: pROC's two-curve calculation after Obuchowski & McClish 1997.
pairs <- expand.grid(a = c(0.6, 0.75, 0.85), b = c(0.7, 0.9, 0.97), correlation = c(0, 0.3, 0.6),
                     ratio = c(1, 3.5), power = c(0.8, 0.9), alpha = c(0.05, 0.01))
pairs <- pairs[pairs$a < pairs$b, ]
binormal <- function(a, b, correlation) list(A1 = sqrt(2) * qnorm(a), B1 = 1, A2 = sqrt(2) * qnorm(b), B2 = 1,
                                             rn = correlation, ra = correlation, delta = abs(a - b))
pairs$cases <- mapply(function(a, b, r, k, p, s)
  power.roc.test(binormal(a, b, r), power = p, kappa = k, sig.level = s)$ncases,
  pairs$a, pairs$b, pairs$correlation, pairs$ratio, pairs$power, pairs$alpha)
pairs$power_30 <- mapply(function(a, b, r, k, s)
  power.roc.test(binormal(a, b, r), ncases = 30, ncontrols = 30 * k, sig.level = s)$power,
  pairs$a, pairs$b, pairs$correlation, pairs$ratio, pairs$alpha)

# Hanley & McNeil 1983: the same sizes with the standard errors of 1982 and the correlation of the areas.
errors <- function(a, b, m, n) c(sqrt(exponential(a, m, n)), sqrt(exponential(b, m, n)))
pairs$hanley_power_30 <- mapply(function(a, b, r, k, s) {
  e <- errors(a, b, 30, 30 * k)
  null <- sqrt(2 * e[1]^2 - 2 * r * e[1] * e[2])
  expected <- sqrt(e[1]^2 + e[2]^2 - 2 * r * e[1] * e[2])
  pnorm((abs(a - b) - qnorm(1 - s / 2) * null) / expected)
}, pairs$a, pairs$b, pairs$correlation, pairs$ratio, pairs$alpha)
save(pairs, "sizing_differences.csv")

# Non-inferior: the expected difference lies above -margin by so many standard errors.
margins <- expand.grid(a = c(0.8, 0.9), b = c(0.78, 0.8, 0.9), margin = c(0.05, 0.1), correlation = c(0, 0.5),
                       ratio = c(1, 3.5))
margins <- margins[margins$b - margins$a + margins$margin > 0.02, ]
margins$cases <- mapply(function(a, b, margin, r, k) {
  first <- pROC:::var.params.obuchowski(sqrt(2) * qnorm(a), 1, k)
  second <- pROC:::var.params.obuchowski(sqrt(2) * qnorm(b), 1, k)
  common <- pROC:::cov.params.obuchowski(sqrt(2) * qnorm(a), 1, sqrt(2) * qnorm(b), 1, r, r, k)
  (qnorm(0.975) + qnorm(0.8))^2 * (first + second - 2 * common) / (b - a + margin)^2
}, margins$a, margins$b, margins$margin, margins$correlation, margins$ratio)
save(margins, "sizing_margins.csv")
