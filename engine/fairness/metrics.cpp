#include "engine/fairness/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void close_tie(Scorer::RankSum& s) {
    s.twice_won += s.positive * (2 * s.below + s.negative);
    s.below += s.negative;
    s.positives += s.positive;
    s.positive = s.negative = 0;
}

}  // namespace

// clang-format off
const std::array<MetricDefinition, kMetrics> kMetricDefinitions = {{
    {"accuracy",          "hits / n",                                 false, false, false},
    {"balanced_accuracy", "mean_c TPR_c, classes with truth",         false, false, false},
    {"macro_precision",   "mean_c TP/(TP+FP), 0/0 = 0",               false, false, false},
    {"macro_recall",      "mean_c TP/(TP+FN), 0/0 = 0",               false, false, false},
    {"macro_f1",          "mean_c 2TP/(2TP+FP+FN)",                   false, false, false},
    {"macro_auc",         "mean_c AUC_c against the rest, ties 1/2",  false, true,  false},
    {"ece",               "sum_b n_b/n |acc_b - conf_b|, 15 bins",    true,  true,  true},
    {"sensitivity",       "max TPR where TNR >= the one asked for",   false, true,  false},
}};
// clang-format on

double accuracy(const Tally& t) {
    const int64_t hits = std::accumulate(t.hit.begin(), t.hit.end(), int64_t(0));
    return ratio(double(hits), double(t.n));
}

double balanced_accuracy(const Tally& t) {
    double sum = 0;
    int present = 0;
    for (int c = 0; c < t.classes(); ++c) {
        if (t.truth[c] == 0) continue;
        sum += t.tpr(c);
        ++present;
    }
    return ratio(sum, present);
}

MacroScores macro_scores(const Tally& t) {
    MacroScores sum{0, 0, 0};
    int present = 0;
    for (int c = 0; c < t.classes(); ++c) {
        if (t.truth[c] + t.predicted[c] == 0) continue;
        ++present;
        if (t.predicted[c] > 0) sum.precision += double(t.hit[c]) / double(t.predicted[c]);
        if (t.truth[c] > 0) sum.recall += double(t.hit[c]) / double(t.truth[c]);
        sum.f1 += 2 * double(t.hit[c]) / double(t.truth[c] + t.predicted[c]);
    }
    return {ratio(sum.precision, present), ratio(sum.recall, present), ratio(sum.f1, present)};
}

int ece_bin(double confidence) {
    int bin = std::clamp(int(std::ceil(confidence * kEceBins)) - 1, 0, kEceBins - 1);
    // The product may round over an edge; the edges themselves decide.
    while (bin > 0 && confidence <= double(bin) / kEceBins) --bin;
    while (bin < kEceBins - 1 && confidence > double(bin + 1) / kEceBins) ++bin;
    return bin;
}

OperatingPoint operating_point(const Predictions& p, const std::string& positive, double specificity) {
    if (positive.empty()) return {};
    const auto found = std::find(p.classes.begin(), p.classes.end(), positive);
    FP_REQUIRE(found != p.classes.end(), Exit::usage, "no class ", positive, "; there are ", list(p.classes));
    return {.positive = int(found - p.classes.begin()), .specificity = specificity};
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

void Scorer::figures(
    const std::vector<Membership>& members, int groups, Parts parts, Scratch& scratch, double* row) const {
    FP_CHECK(members.size() == label_.size(), members.size(), " memberships for ", cases(), " cases");
    const Layout layout{.groups = groups, .classes = classes_};
    std::fill(row, row + layout.width(), kNan);

    scratch.tally.resize(groups);
    for (auto& t : scratch.tally) {
        if (t.classes() != classes_) t = Tally(classes_);
        t.clear();
    }
    for (size_t i = 0; i < members.size(); ++i)
        if (members[i].times > 0) scratch.tally[members[i].group].add(label_[i], pred_[i], members[i].times);

    for (int g = 0; g < groups; ++g) {
        const Tally& t = scratch.tally[g];
        const MacroScores macro = macro_scores(t);
        row[layout.metric(g, kAccuracy)] = accuracy(t);
        row[layout.metric(g, kBalancedAccuracy)] = balanced_accuracy(t);
        row[layout.metric(g, kMacroPrecision)] = macro.precision;
        row[layout.metric(g, kMacroRecall)] = macro.recall;
        row[layout.metric(g, kMacroF1)] = macro.f1;
        for (int c = 0; c < classes_; ++c) {
            row[layout.tpr(g, c)] = t.tpr(c);
            row[layout.fpr(g, c)] = t.fpr(c);
            row[layout.selected(g, c)] = t.selected(c);
        }
    }
    if (parts == Parts::counts || !has_probabilities()) return;
    aucs(members, groups, scratch, row);
    calibration(members, groups, scratch, row);
    if (point_.positive >= 0) sensitivities(members, groups, scratch, row);
}

void Scorer::aucs(const std::vector<Membership>& members, int groups, Scratch& scratch, double* row) const {
    const Layout layout{.groups = groups, .classes = classes_};
    const size_t n = members.size();
    scratch.sums.assign(size_t(groups) * 2, 0);  // a group: sum of AUCs, classes in it

    for (int c = 0; c < classes_; ++c) {
        scratch.ranks.assign(groups, {});
        for (const Ranked* r = order_.data() + c * n; r != order_.data() + (c + 1) * n; ++r) {
            const Membership m = members[r->case_index];
            RankSum& s = scratch.ranks[m.group];
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
        for (int g = 0; g < groups; ++g) {
            RankSum& s = scratch.ranks[g];
            close_tie(s);
            const double pairs = double(s.positives) * double(s.below);
            if (pairs == 0) continue;
            scratch.sums[2 * g] += double(s.twice_won) / (2 * pairs);
            scratch.sums[2 * g + 1] += 1;
        }
    }
    for (int g = 0; g < groups; ++g)
        row[layout.metric(g, kMacroAuc)] = ratio(scratch.sums[2 * g], scratch.sums[2 * g + 1]);
}

void Scorer::calibration(const std::vector<Membership>& members, int groups, Scratch& scratch, double* row) const {
    const Layout layout{.groups = groups, .classes = classes_};
    scratch.sums.assign(size_t(groups) * kEceBins, 0);  // n_b (accuracy_b - confidence_b)
    for (size_t i = 0; i < members.size(); ++i) {
        const Membership m = members[i];
        scratch.sums[m.group * kEceBins + bin_[i]] += m.times * (double(right_[i]) - confidence_[i]);
    }
    for (int g = 0; g < groups; ++g) {
        double sum = 0;
        for (int b = 0; b < kEceBins; ++b) sum += std::abs(scratch.sums[g * kEceBins + b]);
        row[layout.metric(g, kEce)] = ratio(sum, double(scratch.tally[g].n));
    }
}

void Scorer::sensitivities(const std::vector<Membership>& members, int groups, Scratch& scratch, double* row) const {
    const Layout layout{.groups = groups, .classes = classes_};
    const size_t n = members.size();
    scratch.sweeps.assign(groups, {});
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
        Sweep& s = scratch.sweeps[m.group];
        if (s.tie != int64_t(order[i].tie)) {
            close(s, scratch.tally[m.group]);
            s.tie = order[i].tie;
        }
        (order[i].positive ? s.positive : s.negative) += m.times;
    }
    for (int g = 0; g < groups; ++g) {
        const Tally& t = scratch.tally[g];
        close(scratch.sweeps[g], t);
        const int64_t positives = t.truth[point_.positive];
        if (t.n == positives) continue;  // no negative: no specificity
        row[layout.metric(g, kSensitivity)] = ratio(double(scratch.sweeps[g].best), double(positives));
    }
}

}  // namespace fp
