#include "engine/fairness/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/fairness/intervals.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Running counts of one group in the sum behind an AUC, by rising score; won pairs are doubled, so that a tie, half a
// pair, stays a whole number.
struct RankSum {
    int64_t tie, positive, negative, positives, below, twice_won;
};
void close_tie(RankSum& s) {
    s.twice_won += s.positive * (2 * s.below + s.negative);
    s.below += s.negative;
    s.positives += s.positive;
    s.positive = s.negative = 0;
}

// Running counts of one group while a threshold falls; tied scores move together.
struct Sweep {
    int64_t tie, positive, negative, taken, false_alarms, best;
};

}  // namespace

// clang-format off
const std::array<MetricDefinition, kMetrics> kMetricDefinitions = {{
    {"accuracy",          "hits / n",                                 false, false, false},
    {"balanced_accuracy", "mean_c TPR_c, classes with truth",         false, false, false},
    {"macro_precision",   "mean_c TP/(TP+FP), 0/0 = 0",               false, false, false},
    {"macro_recall",      "mean_c TP/(TP+FN), 0/0 = 0",               false, false, false},
    {"macro_f1",          "mean_c 2TP/(2TP+FP+FN)",                   false, false, false},
    {"macro_auc",         "mean_c AUC_c against rest, ties 1/2",  false, true,  false},
    {"ece",               "sum_b n_b/n |acc_b-conf_b|, 15 bins",    true,  true,  true},
    {"sensitivity",       "TPR at the operating point",           false, true,  false},
}};
// clang-format on

double ratio(double a, double b) { return b == 0 ? kNotEstimable : a / b; }

double Tally::tpr(int c) const { return ratio(double(hit[c]), double(truth[c])); }
double Tally::fpr(int c) const { return ratio(double(predicted[c] - hit[c]), double(n - truth[c])); }
double Tally::selected(int c) const { return ratio(double(predicted[c]), double(n)); }

Confusion confusion(const Predictions& p, const std::vector<int>& group_of_case, int group) {
    const size_t classes = p.classes.size();
    Confusion out{.classes = int(classes), .count = std::vector<int64_t>(classes * classes)};
    for (size_t i = 0; i < p.label.size(); ++i)
        if (group_of_case.empty() || group_of_case[i] == group) ++out.count[p.label[i] * classes + p.pred[i]];
    return out;
}

Tally tally(const Confusion& confusion) {
    Tally out(confusion.classes);
    for (int t = 0; t < confusion.classes; ++t)
        for (int p = 0; p < confusion.classes; ++p) out.add(t, p, confusion.at(t, p));
    return out;
}

std::array<double, kMacroF1 + 1> count_metrics(const Tally& t) {
    double precision = 0, recall = 0, f1 = 0;
    int64_t hits = 0, present = 0, with_truth = 0;
    for (int c = 0; c < t.classes(); ++c) {
        if (t.truth[c] + t.predicted[c] == 0) continue;
        ++present;
        hits += t.hit[c];
        if (t.predicted[c] > 0) precision += double(t.hit[c]) / double(t.predicted[c]);
        if (t.truth[c] > 0) {
            ++with_truth;
            recall += t.tpr(c);
        }
        f1 += 2 * double(t.hit[c]) / double(t.truth[c] + t.predicted[c]);
    }
    return {ratio(double(hits), double(t.n)), ratio(recall, double(with_truth)), ratio(precision, double(present)),
            ratio(recall, double(present)), ratio(f1, double(present))};
}

int ece_bin(double confidence) {
    int bin = std::clamp(int(std::ceil(confidence * kEceBins)) - 1, 0, kEceBins - 1);
    // The product may be rounded across an edge, so compare with the edges.
    while (bin > 0 && confidence <= double(bin) / kEceBins) --bin;
    while (bin < kEceBins - 1 && confidence > double(bin + 1) / kEceBins) ++bin;
    return bin;
}

OperatingPoint operating_point(const std::vector<std::string>& classes,
                               const std::string& positive,
                               double specificity) {
    if (positive.empty()) return {};
    const int found = index_of(classes, positive);
    FP_REQUIRE(found >= 0, Exit::usage, "no class ", positive, "; there are ", list(classes));
    return {.positive = found, .specificity = specificity};
}

Scorer::Scorer(const Predictions& p, OperatingPoint point)
    : classes_(int(p.classes.size())), point_(point), label_(p.label), pred_(p.pred) {
    FP_CHECK(point.positive < classes_, "class ", point.positive, " of ", classes_);
    FP_CHECK(p.size() < int64_t(1) << 30, p.size(), " cases are too many to rank");
    if (!p.has_probabilities()) return;
    const size_t n = label_.size();

    std::vector<double> score(n);
    std::vector<uint32_t> rank(n);
    order_.resize(n * classes_);
    for (int c = 0; c < classes_; ++c) {
        for (size_t i = 0; i < n; ++i) score[i] = p.prob[i * classes_ + c];
        std::iota(rank.begin(), rank.end(), 0u);
        std::sort(rank.begin(), rank.end(),
                  [&](uint32_t a, uint32_t b) { return score[a] != score[b] ? score[a] < score[b] : a < b; });
        const auto equal = [&](size_t i, size_t j) { return score[rank[i]] == score[rank[j]]; };
        uint32_t tie = 0;
        for (size_t i = 0; i < n; ++i) {
            const bool as_before = i > 0 && equal(i, i - 1), as_next = i + 1 < n && equal(i, i + 1);
            if (i > 0 && !as_before) ++tie;
            order_[c * n + i] = {
                .case_index = rank[i], .tie = tie, .tied = as_before || as_next, .positive = label_[rank[i]] == c};
        }
    }
    for (size_t i = 0; i < n; ++i) {
        const int top = top_class(p.row(int64_t(i)), classes_);
        confidence_.push_back(p.row(int64_t(i))[top]);
        bin_.push_back(uint8_t(ece_bin(confidence_.back())));
        right_.push_back(top == label_[i]);
    }
}

int Scorer::seen(const std::vector<bool>& counted) const {
    int seen = 0;
    for (size_t i = 0; i < label_.size(); ++i)
        if (counted[i % counted.size()]) seen = std::max({seen, label_[i] + 1, pred_[i] + 1});
    return seen;
}

void Scorer::figures(const std::vector<Membership>& members, int groups, MetricSet metrics, double* row) const {
    FP_CHECK(members.size() == label_.size(), members.size(), " memberships for ", cases(), " cases");
    const Layout layout{.groups = groups, .classes = classes_};
    std::fill(row, row + layout.width(), kNotEstimable);

    Tallies tallies(groups, Tally(classes_));
    std::vector<int64_t> confused(layout.has_confusion() ? size_t(groups * classes_ * classes_) : 0);
    for (size_t i = 0; i < members.size(); ++i) {
        if (members[i].times == 0) continue;
        tallies[members[i].group].add(label_[i], pred_[i], members[i].times);
        if (layout.has_confusion())
            confused[size_t((members[i].group * classes_ + label_[i]) * classes_ + pred_[i])] += members[i].times;
    }

    for (int g = 0; g < groups; ++g) {
        std::ranges::copy(count_metrics(tallies[g]), row + layout.metric(g, kAccuracy));
        for (int c = 0; c < classes_; ++c) {
            row[layout.tpr(g, c)] = tallies[g].tpr(c);
            row[layout.fpr(g, c)] = tallies[g].fpr(c);
            row[layout.selected(g, c)] = tallies[g].selected(c);
            for (int p = 0; layout.has_confusion() && p < classes_; ++p)
                row[layout.confused(g, c, p)] =
                    ratio(double(confused[size_t((g * classes_ + c) * classes_ + p)]), double(tallies[g].truth[c]));
        }
        if (point_.positive >= 0 && !has_probabilities())
            row[layout.metric(g, kSensitivity)] = tallies[g].tpr(point_.positive);
    }
    if (metrics == MetricSet::counts || !has_probabilities()) return;
    aucs(members, tallies, row);
    calibration(members, tallies, row);
    if (point_.positive >= 0) sensitivities(members, tallies, row);
}

void Scorer::aucs(const std::vector<Membership>& members, const Tallies& tallies, double* row) const {
    const Layout layout{.groups = int(tallies.size()), .classes = classes_};
    const size_t n = members.size(), groups = tallies.size();
    std::vector<double> sum(groups), classes(groups);  // of the AUCs, and how many there are

    for (int c = 0; c < classes_; ++c) {
        const auto has_both = [&](const Tally& t) { return t.truth[c] > 0 && t.truth[c] < t.n; };
        if (std::ranges::none_of(tallies, has_both)) continue;  // of thousands of classes most have no case
        std::vector<RankSum> ranks(groups);
        for (const Ranked* r = order_.data() + c * n; r != order_.data() + (c + 1) * n; ++r) {
            const Membership m = members[r->case_index];
            RankSum& s = ranks[m.group];
            if (s.tie != int64_t(r->tie)) {
                if (s.positive + s.negative > 0) close_tie(s);
                s.tie = r->tie;
            }
            if (r->tied) {
                (r->positive ? s.positive : s.negative) += m.times;
            } else if (r->positive) {
                s.twice_won += 2 * s.below * m.times;
                s.positives += m.times;
            } else {
                s.below += m.times;
            }
        }
        for (size_t g = 0; g < groups; ++g) {
            RankSum& s = ranks[g];
            close_tie(s);
            const double pairs = double(s.positives) * double(s.below);
            if (pairs == 0) continue;
            const double auc = double(s.twice_won) / (2 * pairs);
            row[layout.auc(int(g), c)] = auc;
            sum[g] += auc;
            ++classes[g];
        }
    }
    for (size_t g = 0; g < groups; ++g) row[layout.metric(int(g), kMacroAuc)] = ratio(sum[g], classes[g]);
}

void Scorer::calibration(const std::vector<Membership>& members, const Tallies& tallies, double* row) const {
    const Layout layout{.groups = int(tallies.size()), .classes = classes_};
    std::vector<std::array<double, kEceBins>> bins(tallies.size(), {0});  // n_b (accuracy_b - confidence_b)
    for (size_t i = 0; i < members.size(); ++i)
        bins[members[i].group][bin_[i]] += members[i].times * (double(right_[i]) - confidence_[i]);
    for (size_t g = 0; g < tallies.size(); ++g) {
        double sum = 0;
        for (const double b : bins[g]) sum += std::abs(b);
        row[layout.metric(int(g), kEce)] = ratio(sum, double(tallies[g].n));
    }
}

void Scorer::sensitivities(const std::vector<Membership>& members, const Tallies& tallies, double* row) const {
    const Layout layout{.groups = int(tallies.size()), .classes = classes_};
    const size_t n = members.size();
    std::vector<Sweep> sweeps(tallies.size());
    const auto close = [&](Sweep& s, const Tally& t) {
        s.taken += s.positive;
        s.false_alarms += s.negative;
        s.positive = s.negative = 0;
        const double negatives = double(t.n - t.truth[point_.positive]);
        // 1e-9: (1 - 0.8) is not 0.2 to the last bit
        if (double(s.false_alarms) <= (1 - point_.specificity + 1e-9) * negatives) s.best = s.taken;
    };
    const Ranked* order = order_.data() + point_.positive * n;
    for (size_t i = n; i-- > 0;) {
        const Membership m = members[order[i].case_index];
        if (m.times == 0) continue;
        Sweep& s = sweeps[m.group];
        if (s.tie != int64_t(order[i].tie)) {
            close(s, tallies[m.group]);
            s.tie = order[i].tie;
        }
        (order[i].positive ? s.positive : s.negative) += m.times;
    }
    for (size_t g = 0; g < tallies.size(); ++g) {
        const Tally& t = tallies[g];
        close(sweeps[g], t);
        const int64_t positives = t.truth[point_.positive];
        if (t.n == positives) continue;  // no negative: no specificity
        row[layout.metric(int(g), kSensitivity)] = ratio(double(sweeps[g].best), double(positives));
    }
}

}  // namespace fp
