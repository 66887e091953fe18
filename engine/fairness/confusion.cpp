#include "engine/fairness/confusion.h"

#include <algorithm>
#include <limits>

namespace fp {

double ratio(double a, double b) { return b == 0 ? std::numeric_limits<double>::quiet_NaN() : a / b; }

void Tally::clear() {
    n = 0;
    std::fill(truth.begin(), truth.end(), 0);
    std::fill(predicted.begin(), predicted.end(), 0);
    std::fill(hit.begin(), hit.end(), 0);
}

double Tally::tpr(int c) const { return ratio(double(hit[c]), double(truth[c])); }
double Tally::fpr(int c) const { return ratio(double(predicted[c] - hit[c]), double(n - truth[c])); }
double Tally::selected(int c) const { return ratio(double(predicted[c]), double(n)); }

Confusion confusion(const std::vector<int>& label,
                    const std::vector<int>& pred,
                    int classes,
                    const std::vector<int>& groups,
                    int group) {
    Confusion out{.classes = classes, .count = std::vector<int64_t>(size_t(classes) * classes)};
    for (size_t i = 0; i < label.size(); ++i)
        if (groups.empty() || groups[i] == group) ++out.count[size_t(label[i]) * classes + pred[i]];
    return out;
}

Tally tally(const Confusion& confusion) {
    Tally out(confusion.classes);
    for (int t = 0; t < confusion.classes; ++t)
        for (int p = 0; p < confusion.classes; ++p) out.add(t, p, confusion.at(t, p));
    return out;
}

}  // namespace fp
