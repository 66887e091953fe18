#include "engine/fairness/group_offsets.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kLeastProbability = 1e-12, kBetter = 1e-9;
constexpr double kBeyond = 0.1;  // how far an offset lies outside the last probability at which a prediction changes
constexpr int kMostPasses = 100;

double log_of(double probability) { return std::log(std::max(probability, kLeastProbability)); }

// One group's images on validation.
struct GroupScores {
    int classes;
    std::vector<int> label;
    std::vector<double> score;   // n x classes, log-probabilities
    std::vector<double> weight;  // by class: 1 / (its images x classes with images); 0 without images

    const double* row(size_t i) const { return score.data() + i * size_t(classes); }
};

GroupScores group_scores(const Predictions& p, const std::vector<int64_t>& rows) {
    GroupScores out{.classes = int(p.classes.size()), .label = {}, .score = {}, .weight = {}};
    std::vector<double> count(p.classes.size(), 0.0);
    for (const int64_t i : rows) {
        out.label.push_back(p.label[size_t(i)]);
        ++count[size_t(p.label[size_t(i)])];
        for (int c = 0; c < out.classes; ++c) out.score.push_back(log_of(p.row(i)[c]));
    }
    const auto present = double(std::ranges::count_if(count, [](double n) { return n > 0; }));
    for (const double n : count) out.weight.push_back(n > 0 ? 1 / (n * present) : 0);
    return out;
}

// The class of the largest score but for `without`; the lowest index at a tie.
int top_but(const double* score, const std::vector<double>& offsets, int without) {
    int best = -1;
    for (int c = 0; c < int(offsets.size()); ++c)
        if (c != without && (best < 0 || score[c] + offsets[size_t(c)] > score[best] + offsets[size_t(best)])) best = c;
    return best;
}

double balanced_accuracy(const GroupScores& s, const std::vector<double>& offsets) {
    double sum = 0;
    for (size_t i = 0; i < s.label.size(); ++i)
        if (top_but(s.row(i), offsets, -1) == s.label[i]) sum += s.weight[size_t(s.label[i])];
    return sum;
}

// Where the prediction of an image becomes class c as its offset grows, and what balanced accuracy gains there.
struct Flip {
    double at, gain;
};

struct Choice {
    double offset, value;  // value: balanced accuracy
};

// The best offset of class c beside the others.
Choice best_offset(const GroupScores& s, const std::vector<double>& offsets, int c, double now) {
    std::vector<Flip> flips;
    double value = 0;  // below all flips: c is never predicted
    for (size_t i = 0; i < s.label.size(); ++i) {
        const int other = top_but(s.row(i), offsets, c), label = s.label[i];
        const double own = other == label ? s.weight[size_t(label)] : 0;
        value += own;
        flips.push_back(
            {s.row(i)[other] + offsets[size_t(other)] - s.row(i)[c], (label == c ? s.weight[size_t(c)] : 0) - own});
    }
    std::ranges::sort(flips, {}, &Flip::at);
    Choice best{offsets[size_t(c)], now};
    // The offset in (low, high), neither of which may be there, that is tried.
    const auto consider = [&](double low, double high) {
        const double offset = !std::isfinite(low)    ? high - kBeyond
                              : !std::isfinite(high) ? low + kBeyond
                                                     : (low + high) / 2;
        const bool better = value > best.value + kBetter, nearer = value > now + kBetter &&
                                                                   value > best.value - kBetter &&
                                                                   std::abs(offset) < std::abs(best.offset);
        if (better || nearer) best = {offset, value};
    };
    constexpr double kFar = std::numeric_limits<double>::infinity();
    consider(-kFar, flips.front().at);
    for (size_t i = 0; i < flips.size(); ++i) {
        value += flips[i].gain;
        if (i + 1 == flips.size())
            consider(flips[i].at, kFar);
        else if (flips[i + 1].at > flips[i].at)
            consider(flips[i].at, flips[i + 1].at);
    }
    return best;
}

void choose_offsets(const GroupScores& s, GroupOffsets::OfGroup& group) {
    double now = group.before = balanced_accuracy(s, group.offsets);
    for (int pass = 0; pass < kMostPasses; ++pass) {
        const double start = now;
        for (int c = 0; c < s.classes; ++c) {
            if (s.weight[size_t(c)] == 0) continue;  // a class that validation does not show here stays as it is
            const Choice best = best_offset(s, group.offsets, c, now);
            group.offsets[size_t(c)] = best.offset;
            now = best.value;
        }
        if (!(now > start + kBetter)) break;
    }
    group.after = balanced_accuracy(s, group.offsets);
}

}  // namespace

GroupOffsets choose_group_offsets(const Predictions& validation, const std::string& attribute, int min_group_size) {
    FP_REQUIRE(validation.has_probabilities() && validation.has_labels(), Exit::data,
               "group offsets are chosen on labelled images with the probabilities of the classes");
    const Grouping grouping = group_by(attribute_columns(validation), attribute);
    require_few_groups(grouping);
    GroupOffsets out{.attribute = attribute, .classes = validation.classes, .groups = {}, .images = validation.size()};
    bool any = false;
    for (size_t g = 0; g < grouping.groups.size(); ++g) {
        std::vector<int64_t> rows;
        for (int64_t i = 0; i < validation.size(); ++i)
            if (grouping.of[size_t(i)] == int(g)) rows.push_back(i);
        GroupOffsets::OfGroup group{.name = grouping.groups[g],
                                    .images = int64_t(rows.size()),
                                    .offsets = std::vector<double>(validation.classes.size(), 0.0)};
        const GroupScores s = group_scores(validation, rows);
        if (std::ranges::count_if(s.weight, [](double w) { return w > 0; }) < 2)
            group.reason = "fewer than two classes on validation";
        else if (int64_t(rows.size()) < min_group_size)
            group.reason = text("n=", rows.size(), " < ", min_group_size);
        else
            choose_offsets(s, group);
        any = any || group.reason.empty();
        out.groups.push_back(std::move(group));
    }
    FP_REQUIRE(any, Exit::data, "group offsets: no group of ", attribute, " has ", min_group_size,
               " images of two classes on validation");
    return out;
}

Predictions with_group_offsets(const Predictions& p, const GroupOffsets& offsets) {
    FP_REQUIRE(p.has_probabilities(), Exit::data, "group offsets need the probabilities of the classes");
    FP_REQUIRE(p.classes == offsets.classes, Exit::data, "group offsets are of ", offsets.classes.size(),
               " classes, the predictions of ", p.classes.size(), ", or of others");
    const Grouping grouping = group_by(attribute_columns(p), offsets.attribute);
    Predictions out = p;
    out.loss.clear();  // of other probabilities
    const size_t classes = p.classes.size();
    for (int64_t i = 0; i < p.size(); ++i) {
        const int g = grouping.of[size_t(i)];
        const auto found =
            g < 0 ? offsets.groups.end()
                  : std::ranges::find(offsets.groups, grouping.groups[size_t(g)], &GroupOffsets::OfGroup::name);
        if (found == offsets.groups.end() || !found->reason.empty()) continue;
        double* row = out.prob.data() + size_t(i) * classes;
        double sum = 0;
        for (size_t c = 0; c < classes; ++c)
            sum += row[c] = std::max(row[c], kLeastProbability) * std::exp(found->offsets[c]);
        for (size_t c = 0; c < classes; ++c) row[c] /= sum;
        out.pred[size_t(i)] = top_class(row, int(classes));
    }
    return out;
}

}  // namespace fp
