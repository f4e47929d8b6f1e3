# Writes the reference values that the tests of multireader are held against.
# Run in this folder: Rscript make_multireader.R   (R with pROC 1.18; the tests need neither)
# The formulas are those printed by OR-DBM MRMC 2.51 (Hillis 2007, 2014), written out here once more; DeLong's
# covariances are pROC's.
library(pROC)
options(digits = 17)
set.seed(20261101)

study <- function(name, modalities, readers, benign, malignant, per_patient, gains, digits) {
  label <- rep(c(0, 1), c(benign, malignant))
  n <- length(label)
  patient <- rep(seq_len(ceiling(n / per_patient)), each = per_patient)[seq_len(n)]
  # lesions of both classes in some patients
  if (per_patient > 1) patient <- sample(patient)
  case <- rnorm(n)
  do.call(rbind, lapply(seq_len(modalities), function(i) do.call(rbind, lapply(seq_len(readers), function(j) {
    score <- gains[i] * label + rnorm(1, 0, 0.3) * label + 0.8 * case + rnorm(n)
    score <- if (digits < 0) pmin(pmax(round(score + 2.5), 1), 5) else round(score, digits)
    data.frame(study = name, modality = i, reader = j, case = seq_len(n), patient = patient, label = label,
               score = score)
  }))))
}

cases <- rbind(
  study("ratings", 2, 5, 40, 25, 1, c(1.6, 1.0), -1),
  study("three", 3, 4, 30, 15, 1, c(1.4, 0.9, 0.7), 3),
  study("lesions", 2, 3, 24, 18, 2, c(1.5, 0.6), 2),
  study("one_reader", 2, 1, 34, 12, 1, c(1.6, 0.8), 3)
)

area <- function(label, score) {
  pairs <- outer(score[label == 1], score[label == 0], "-")
  mean((pairs > 0) + 0.5 * (pairs == 0))
}
jackknife <- function(label, scores, patient) {
  ids <- unique(patient)
  without <- function(id) apply(scores[, patient != id, drop = FALSE], 1, function(s) area(label[patient != id], s))
  left <- sapply(ids, without)
  left <- matrix(left, nrow = nrow(scores))
  deviation <- left - rowMeans(left)
  deviation %*% t(deviation) * (length(ids) - 1) / length(ids)
}
delong <- function(label, scores) {
  curve <- function(k) roc(label, scores[k, ], levels = c(0, 1), direction = "<", quiet = TRUE)
  curves <- lapply(seq_len(nrow(scores)), curve)
  outer(seq_along(curves), seq_along(curves), Vectorize(function(a, b) {
    if (a == b) var(curves[[a]], method = "delong") else cov(curves[[a]], curves[[b]], method = "delong")
  }))
}

analyse <- function(name, kind) {
  data <- cases[cases$study == name, ]
  t <- max(data$modality); r <- max(data$reader)
  first <- data[data$modality == 1 & data$reader == 1, ]
  label <- first$label
  scores <- do.call(rbind, lapply(seq_len(t * r), function(k) {
    data$score[data$modality == (k - 1) %/% r + 1 & data$reader == (k - 1) %% r + 1]
  }))
  theta <- matrix(apply(scores, 1, function(s) area(label, s)), t, r, byrow = TRUE)
  sigma <- if (kind == "delong") delong(label, scores) else jackknife(label, scores, first$patient)
  modality <- rep(seq_len(t), each = r); reader <- rep(seq_len(r), t)
  mean_or_0 <- function(x) if (length(x)) mean(x) else 0
  pick <- function(sm, sr) mean_or_0(sigma[outer(modality, modality, "==") == sm & outer(reader, reader, "==") == sr])
  v <- pick(TRUE, TRUE); c1 <- pick(FALSE, TRUE); c2 <- pick(TRUE, FALSE); c3 <- pick(FALSE, FALSE)
  grand <- mean(theta); ti <- rowMeans(theta); rj <- colMeans(theta)
  mst <- r * sum((ti - grand)^2) / (t - 1)
  mstr <- if (r > 1) sum((theta - outer(ti, rj, "+") + grand)^2) / ((t - 1) * (r - 1)) else 0
  models <- if (r > 1) c("readers and cases", "cases", "readers") else "cases"
  do.call(rbind, lapply(models, function(random) {
    if (random == "readers and cases") {
      error <- mstr + r * max(c2 - c3, 0); df <- error^2 / (mstr^2 / ((t - 1) * (r - 1)))
      p <- pf(mst / error, t - 1, df, lower.tail = FALSE)
    } else if (random == "cases") {
      error <- v - c1 + (r - 1) * max(c2 - c3, 0); df <- Inf
      p <- pchisq((t - 1) * mst / error, t - 1, lower.tail = FALSE)
    } else {
      error <- mstr; df <- (t - 1) * (r - 1)
      p <- pf(mst / error, t - 1, df, lower.tail = FALSE)
    }
    half <- qt(0.975, df) * sqrt(2 * error / r)
    own <- sigma[modality == 1, modality == 1, drop = FALSE]
    v1 <- mean(diag(own)); c21 <- mean_or_0(own[row(own) != col(own)]); ms1 <- if (r > 1) var(theta[1, ]) else 0
    if (random == "readers and cases") {
      e1 <- ms1 + r * max(c21, 0); df1 <- e1^2 / (ms1^2 / (r - 1))
    } else if (random == "cases") {
      e1 <- v1 + (r - 1) * max(c21, 0); df1 <- Inf
    } else {
      e1 <- ms1; df1 <- r - 1
    }
    half1 <- qt(0.975, df1) * sqrt(e1 / r)
    difference <- ti[1] - ti[t]
    data.frame(study = name, covariance = kind, random = random, variance = v, cov1 = c1, cov2 = c2, cov3 = c3,
               ms_interaction = mstr, f = mst / error, df = df, p = p, difference = difference,
               low = difference - half, high = difference + half,
               p_pair = 2 * pt(abs(difference) / sqrt(2 * error / r), df, lower.tail = FALSE),
               mean = ti[1], mean_low = max(0, ti[1] - half1), mean_high = min(1, ti[1] + half1))
  }))
}

results <- rbind(
  analyse("ratings", "delong"), analyse("ratings", "jackknife"), analyse("three", "delong"),
  analyse("three", "jackknife"), analyse("lesions", "jackknife"), analyse("one_reader", "delong"),
  analyse("one_reader", "jackknife")
)
write.csv(cases, "multireader_cases.csv", row.names = FALSE, quote = FALSE)
write.csv(format(results, digits = 15, trim = TRUE), "multireader.csv", row.names = FALSE, quote = FALSE)
