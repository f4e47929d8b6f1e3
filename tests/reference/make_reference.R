# Writes the reference values that the tests of metrics, intervals and compare are held against.
# Run in this folder: Rscript make_reference.R   (R with pROC 1.18; the tests need neither)
library(pROC)
options(digits = 17)
set.seed(20200714)

draw <- function(name, label, a, b) data.frame(dataset = name, label = label, a = a, b = b)
normal <- function(name, benign, malignant, gain_a, gain_b, shared, digits = 6) {
  label <- c(rep(0, benign), rep(1, malignant))
  common <- rnorm(length(label)) * shared
  draw(name, label, round(common + rnorm(length(label)) + gain_a * label, digits),
       round(common + rnorm(length(label)) + gain_b * label, digits))
}
ratings <- function(name, benign, malignant) {
  cut <- function(x) as.numeric(pmin(pmax(round(x), 1), 5))
  data <- normal(name, benign, malignant, 1.2, 0.8, 0.7)
  data$a <- cut(2.5 + data$a)
  data$b <- cut(2.5 + data$b)
  data
}
perfect <- normal("perfect", 12, 4, 0, 1.0, 0.5)
perfect$a <- seq_len(16)

cases <- rbind(
  normal("paper_size", 34, 12, 1.5, 0.6, 0.8),
  normal("balanced", 60, 60, 1.0, 0.9, 1.0),
  normal("imbalanced", 150, 6, 1.3, 0.5, 0.5),
  normal("coarse", 40, 15, 1.0, 0.4, 0.6, digits = 0),
  ratings("ratings", 34, 12),
  normal("below_chance", 30, 20, -0.8, 0.3, 0.4),
  normal("tiny", 5, 3, 0.9, 0.5, 0.5),
  perfect
)
# scores of a saturated one-class SVM: most cases share one value
saturated <- normal("saturated", 50, 14, 1.6, 1.0, 0.6)
saturated$a <- pmin(saturated$a, 0.8)
cases <- rbind(cases, saturated)

curve <- function(data, column) roc(data$label, data[[column]], levels = c(0, 1), direction = "<", quiet = TRUE)

single <- do.call(rbind, lapply(unique(cases$dataset), function(name) {
  data <- cases[cases$dataset == name, ]
  do.call(rbind, lapply(c("a", "b"), function(column) {
    one <- curve(data, column)
    interval <- suppressWarnings(ci.auc(one, method = "delong"))
    best <- coords(one, "best", best.method = "youden", ret = c("sensitivity", "specificity"), transpose = FALSE)
    best <- best[which.max(best$sensitivity), ]
    data.frame(dataset = name, score = column, auc = as.numeric(auc(one)),
               variance = suppressWarnings(var(one, method = "delong")), low = interval[1], high = interval[3],
               sensitivity = best$sensitivity, specificity = best$specificity)
  }))
}))

paired <- do.call(rbind, lapply(unique(cases$dataset), function(name) {
  data <- cases[cases$dataset == name, ]
  test <- suppressWarnings(roc.test(curve(data, "a"), curve(data, "b"), method = "delong", paired = TRUE,
                                    conf.level = 0.95))
  data.frame(dataset = name, difference = as.numeric(test$estimate[1] - test$estimate[2]),
             low = test$conf.int[1], high = test$conf.int[2], p = test$p.value)
}))

save <- function(table, file) write.csv(format(table, digits = 17, trim = TRUE), file, row.names = FALSE, quote = FALSE)
write.csv(cases, "cases.csv", row.names = FALSE, quote = FALSE)
save(single, "single.csv")
save(paired, "paired.csv")
