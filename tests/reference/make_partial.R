# Writes the partial areas that the tests of partial are held against, of the cases in cases.csv.
# Run in this folder: Rscript make_partial.R   (R with pROC 1.18; the tests need neither)
library(pROC)
options(digits = 17)
set.seed(20200714)

cases <- read.csv("cases.csv")
ranges <- list(c(0.8, 1), c(0.9, 1), c(0.5, 0.8), c(0.137, 0.911), c(0, 0.3), c(0, 1))
drawn <- c("balanced", "imbalanced", "paper_size", "ratings") # large enough for a bootstrap to be a yardstick
draws <- 4000

rows <- list()
for (name in unique(cases$dataset)) for (column in c("a", "b")) {
  data <- cases[cases$dataset == name, ]
  curve <- roc(data$label, data[[column]], levels = c(0, 1), direction = "<", quiet = TRUE)
  for (focus in c("specificity", "sensitivity")) for (range in ranges) {
    part <- function(correct) suppressWarnings(as.numeric(auc(
      curve, partial.auc = rev(range), partial.auc.focus = focus, partial.auc.correct = correct)))
    deviation <- NA
    if (name %in% drawn && column == "a" && identical(range, c(0.5, 0.8))) {
      part_of <- roc(data$label, data[[column]], levels = c(0, 1), direction = "<", quiet = TRUE,
                     auc = TRUE, partial.auc = rev(range), partial.auc.focus = focus)
      deviation <- sqrt(var(part_of, method = "bootstrap", boot.n = draws, progress = "none"))
    }
    rows[[length(rows) + 1]] <- data.frame(dataset = name, score = column, focus = focus, low = range[1],
      high = range[2], area = part(FALSE), standardised = part(TRUE), bootstrap_deviation = deviation)
  }
}
table <- do.call(rbind, rows)
write.csv(format(table, digits = 17, trim = TRUE), "partial.csv", row.names = FALSE, quote = FALSE)
