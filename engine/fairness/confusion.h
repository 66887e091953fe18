// Counts of hard predictions.
//
// Class c is taken one against the rest: TP = truth c and predicted c, FN = truth c and not predicted c, FP and
// TN likewise. A rate whose denominator is 0 is NaN: not estimable.
//
//   TPR_c = TP / (TP + FN)     FPR_c = FP / (FP + TN)     TNR_c = 1 - FPR_c     selected_c = (TP + FP) / n
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fp {

// The margins and the diagonal of a confusion matrix: all that metrics and gaps of hard predictions need, and
// three numbers a class instead of `classes`, so that thousands of resamples of it are cheap.
struct Tally {
    int64_t n = 0;
    std::vector<int64_t> truth, predicted, hit;  // a class: TP + FN, TP + FP, TP

    Tally() = default;
    explicit Tally(int classes) : truth(classes), predicted(classes), hit(classes) {}
    int classes() const { return int(truth.size()); }
    void clear();
    void add(int label, int pred, int64_t times) {
        n += times;
        truth[label] += times;
        predicted[pred] += times;
        if (label == pred) hit[label] += times;
    }

    double tpr(int c) const;
    double fpr(int c) const;
    double selected(int c) const;
};

struct Confusion {
    int classes = 0;
    std::vector<int64_t> count;  // count[truth * classes + predicted]

    int64_t at(int truth, int predicted) const { return count[size_t(truth) * classes + predicted]; }
};

// Over the cases whose group is `group`; over all where `groups` is empty.
Confusion confusion(const std::vector<int>& label,
                    const std::vector<int>& pred,
                    int classes,
                    const std::vector<int>& groups = {},
                    int group = 0);
Tally tally(const Confusion& confusion);

// a / b, NaN where b is 0.
double ratio(double a, double b);

}  // namespace fp
