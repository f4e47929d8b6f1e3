# Writes the reference values for intervals of a share, rules for thresholds, likelihood ratios and predictive values.
# Run in this folder after make_reference.R: Rscript make_operating.R   (R with pROC 1.18 and epiR 2.0; the tests need
# neither)
suppressMessages(library(pROC))
suppressMessages(library(epiR))
options(digits = 17)

save <- function(table, file) write.csv(format(table, digits = 17, trim = TRUE), file, row.names = FALSE, quote = FALSE)

# shares: base R's own tests
shares <- expand.grid(n = c(1, 4, 12, 34, 150, 1000), part = c(0, 0.25, 0.5, 0.9, 1), confidence = c(0.8, 0.95, 0.99))
shares$successes <- round(shares$n * shares$part)
shares <- unique(shares[, c("successes", "n", "confidence")])
shares <- do.call(rbind, lapply(seq_len(nrow(shares)), function(i) {
  row <- shares[i, ]
  exact <- binom.test(row$successes, row$n, conf.level = row$confidence)$conf.int
  wilson <- suppressWarnings(prop.test(row$successes, row$n, conf.level = row$confidence, correct = FALSE))$conf.int
  data.frame(row, exact_low = exact[1], exact_high = exact[2], wilson_low = wilson[1], wilson_high = wilson[2])
}))
save(shares, "operating_shares.csv")

# tables: epiR for shares and likelihood ratios; Mercaldo, Lau & Zhou 2007, equations of the standard logit interval
# written out for predictive values at a stated prevalence. The first table is their example (apolipoprotein E4 and
# Alzheimer's disease: 418 cases, 375 controls).
tables <- data.frame(tp = c(240, 9, 11, 50, 3, 1, 140), fn = c(178, 3, 1, 10, 1, 5, 20),
                     fp = c(87, 3, 8, 4, 1, 2, 60), tn = c(288, 31, 26, 56, 15, 148, 420))
logit_interval <- function(centre, variance) plogis(centre + c(-1, 1) * qnorm(0.975) * sqrt(variance))
predictive <- function(row, prevalence) {
  m <- row$tp + row$fn
  n <- row$fp + row$tn
  se <- row$tp / m
  sp <- row$tn / n
  ppv <- se * prevalence / (se * prevalence + (1 - sp) * (1 - prevalence))
  npv <- sp * (1 - prevalence) / ((1 - se) * prevalence + sp * (1 - prevalence))
  ppv_interval <- logit_interval(log(se * prevalence / ((1 - sp) * (1 - prevalence))),
                                 (1 - se) / se / m + sp / (1 - sp) / n)
  npv_interval <- logit_interval(log(sp * (1 - prevalence) / ((1 - se) * prevalence)),
                                 se / (1 - se) / m + (1 - sp) / sp / n)
  data.frame(row, prevalence = prevalence, ppv = ppv, ppv_low = ppv_interval[1], ppv_high = ppv_interval[2],
             npv = npv, npv_low = npv_interval[1], npv_high = npv_interval[2])
}
save(do.call(rbind, lapply(seq_len(nrow(tables)), function(i) {
  do.call(rbind, lapply(c(0.03, 0.2, 0.5), function(prevalence) predictive(tables[i, ], prevalence)))
})), "operating_predictive.csv")

known <- c(sensitivity = "se", specificity = "sp", positive_likelihood_ratio = "lr.pos",
           negative_likelihood_ratio = "lr.neg", ppv = "pv.pos", npv = "pv.neg")
save(do.call(rbind, lapply(seq_len(nrow(tables)), function(i) {
  row <- tables[i, ]
  table <- as.table(matrix(c(row$tp, row$fn, row$fp, row$tn), 2))
  do.call(rbind, lapply(c("wilson", "exact"), function(method) {
    found <- epi.tests(table, method = method)$detail
    found <- found[match(known, found$statistic), ]
    data.frame(row, method = method, statistic = names(known), value = found$est, low = found$lower,
               high = found$upper, row.names = NULL)
  }))
})), "operating_tables.csv")

# thresholds on the cases of make_reference.R: pROC's weighted Youden index for costs, a search for demands; and the
# average precision at a prevalence, summed over the thresholds
cases <- read.csv("cases.csv")
points_of <- function(label, score) {
  cuts <- sort(unique(score), decreasing = TRUE)
  data.frame(sensitivity = c(0, sapply(cuts, function(cut) mean(score[label == 1] >= cut))),
             specificity = c(1, sapply(cuts, function(cut) mean(score[label == 0] < cut))))
}
first <- function(points, ...) points[order(...)[1], ]
by_cost <- function(label, score, cost, prevalence) {
  curve <- roc(label, score, levels = c(0, 1), direction = "<", quiet = TRUE)
  best <- coords(curve, "best", best.weights = c(cost, prevalence), ret = c("sensitivity", "specificity"),
                 transpose = FALSE)
  best[which.max(best$sensitivity), ]
}
rules <- list(
  "sensitivity>=0.95" = function(label, score) {
    points <- subset(points_of(label, score), sensitivity >= 0.95)
    first(points, -points$specificity, -points$sensitivity)
  },
  "specificity>=0.90" = function(label, score) {
    points <- subset(points_of(label, score), specificity >= 0.9)
    first(points, -points$sensitivity, -points$specificity)
  },
  "cost=10" = function(label, score) by_cost(label, score, 10, mean(label)),
  "cost=10,prevalence=0.2" = function(label, score) by_cost(label, score, 10, 0.2),
  "cost=0.5,prevalence=0.05" = function(label, score) by_cost(label, score, 0.5, 0.05)
)
groups <- split(cases, cases$dataset)
save(do.call(rbind, lapply(groups, function(data) {
  do.call(rbind, lapply(c("a", "b"), function(column) do.call(rbind, lapply(names(rules), function(rule) {
    point <- rules[[rule]](data$label, data[[column]])
    data.frame(dataset = data$dataset[1], score = column, rule = gsub(",", " ", rule),
               sensitivity = point$sensitivity, specificity = point$specificity)
  }))))
})), "operating_rules.csv")

save(do.call(rbind, lapply(groups, function(data) {
  do.call(rbind, lapply(c("a", "b"), function(column) do.call(rbind, lapply(c(0.01, 0.1, 0.5), function(prevalence) {
    points <- points_of(data$label, data[[column]])
    called <- prevalence * points$sensitivity + (1 - prevalence) * (1 - points$specificity)
    precision <- prevalence * points$sensitivity / called
    data.frame(dataset = data$dataset[1], score = column, prevalence = prevalence,
               area = sum(diff(points$sensitivity) * precision[-1]))
  }))))
})), "operating_precision.csv")
