#include "engine/fairness/bootstrap.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>

#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

// Fills in the members that follow from groups, has_unknown, group_of_case and min_group_size.
Cohort completed(Cohort cohort, const Predictions& p) {
    std::vector<std::set<std::string_view>> units_of(cohort.size());
    for (int64_t i = 0; i < p.size(); ++i) units_of[cohort.group_of_case[i]].insert(p.unit[i]);
    for (int g = 0; g < cohort.size(); ++g)
        if (!cohort.is_unknown(g) && int64_t(units_of[g].size()) >= cohort.min_group_size) cohort.compared.push_back(g);

    const size_t classes = p.classes.size();
    std::unordered_map<std::string_view, int> index;
    std::vector<std::set<int>> with(cohort.size() * (classes + 1));  // units: groups x (each class, then any)
    std::set<int> in_two;
    for (int64_t i = 0; i < p.size(); ++i) {
        const int g = cohort.group_of_case[i];
        const auto [found, fresh] = index.emplace(p.unit[i], cohort.units());
        const int u = found->second;
        if (fresh) {
            cohort.group_of_unit.push_back(g);
            cohort.diagnosis_of_unit.push_back(p.label[i]);
        }
        int& first = cohort.group_of_unit[u];
        if (cohort.is_unknown(first)) first = g;
        if (!cohort.is_unknown(g) && g != first) in_two.insert(u);
        cohort.unit_of_case.push_back(u);
        cohort.in_compared.push_back(cohort.is_compared(g));
        with[g * (classes + 1) + p.label[i]].insert(u);
        with[g * (classes + 1) + classes].insert(u);
    }
    cohort.units_in_two_groups = int64_t(in_two.size());
    cohort.share.assign(classes, 0);
    for (int64_t i = 0; i < p.size(); ++i)
        if (cohort.in_compared[i]) ++cohort.share[p.label[i]];
    for (auto group = with.begin(); group != with.end(); group += int64_t(classes + 1)) {
        auto& positives = cohort.positives.emplace_back();
        for (size_t c = 0; c < classes; ++c) positives.push_back(int(group[c].size()));
        cohort.units_of_group.push_back(int(group[classes].size()));
    }
    const double compared = double(std::ranges::count(cohort.in_compared, true));
    for (size_t c = 0; c < classes; ++c) {
        const bool everywhere = std::ranges::all_of(cohort.compared, [&](int g) { return cohort.positives[g][c] > 0; });
        cohort.share[c] = everywhere ? cohort.share[c] / compared : 0;
    }
    return cohort;
}

// Starting a thread pays off from this many visits of a case on.
constexpr int64_t kVisitsPerThread = 500'000;

enum Purpose : uint64_t { kBootstrap = 1, kPermutation, kSwap };

// The random numbers of one resample, permutation or swap: four from each counter value.
class Draws {
public:
    explicit Draws(uint64_t key) : key_(key) {}
    uint32_t next() {
        if (left_ == 0) {
            block_ = philox(key_, counter_++);
            left_ = 4;
        }
        return block_.word[--left_];
    }
    // 0 .. bound - 1; the bias of the multiply-shift is below bound / 2^32.
    uint32_t below(size_t bound) { return uint32_t((uint64_t(next()) * bound) >> 32); }

private:
    uint64_t key_, counter_ = 0;
    Philox block_{};
    int left_ = 0;
};

// Calls run(begin, end) for parts of 0 .. count - 1, each of a fraction of a second, and `progress` before and after
// each.
template <class Run>
void in_parts(int64_t count, const EvaluateOptions& options, const Run& run) {
    if (!options.progress) return run(int64_t(0), count);
    using Clock = std::chrono::steady_clock;
    options.progress(0, count);
    for (int64_t begin = 0, end = 0, size = 1; begin < count; begin = end) {
        const Clock::time_point start = Clock::now();
        end = std::min(begin + size, count);
        run(begin, end);
        options.progress(end, count);
        if (Clock::now() - start < std::chrono::milliseconds(100)) size *= 2;
    }
}

// Scores options.resamples weightings. draw(r, of_unit) changes one number per unit, `initial` before each draw;
// member(model, i, number) turns it into the membership of case i of a model, `number` being that of its unit.
template <class Draw, class Member>
FigureRows score(const Scorer& scorer,
                 const Cohort& cohort,
                 MetricSet metrics,
                 const EvaluateOptions& options,
                 const std::vector<uint16_t>& initial,
                 Draw draw,
                 Member member) {
    const int64_t n = cohort.cases();
    const int models = int(scorer.cases() / n);
    FP_CHECK(scorer.cases() == models * n, scorer.cases(), " cases are no multiple of ", n);
    FigureRows rows{.layout = {.groups = cohort.size(), .classes = scorer.classes()},
                    .models = models,
                    .seen = scorer.seen(cohort.in_compared),
                    .count = options.resamples,
                    .share = cohort.share};
    const int64_t width = models * rows.layout.width();
    rows.values.resize(size_t(rows.count * width));
    const int threads = threads_for(rows.count * scorer.cases(), options);
    in_parts(rows.count, options, [&](int64_t begin, int64_t end) {
#pragma omp parallel num_threads(threads)
        {
            std::vector<Membership> members(scorer.cases());
            std::vector<uint16_t> of_unit;
#pragma omp for schedule(static)
            for (int64_t r = begin; r < end; ++r) {
                of_unit = initial;
                draw(uint64_t(r), of_unit);
                for (int m = 0; m < models; ++m)
                    for (int64_t i = 0; i < n; ++i) members[m * n + i] = member(m, i, of_unit[cohort.unit_of_case[i]]);
                scorer.figures(members, models * cohort.size(), metrics, rows.values.data() + r * width);
            }
        }
    });
    return rows;
}

// Case i of a model in its own group.
struct InOwnGroup {
    const Cohort& cohort;
    Membership operator()(int model, int64_t i, uint16_t times) const {
        return {uint16_t(model * cohort.size() + cohort.group_of_case[i]), times};
    }
};

}  // namespace

int threads_for(int64_t visits, const EvaluateOptions& options) {
    const int64_t most = options.threads > 0 ? options.threads : omp_get_max_threads();
    return int(std::clamp<int64_t>(visits / kVisitsPerThread, 1, most));
}

bool Cohort::is_compared(int group) const { return std::binary_search(compared.begin(), compared.end(), group); }

std::string Cohort::why_no_gaps() const {
    if (compared.size() >= 2) return "";
    return fmt::format("{} known group{} of at least {} units", compared.size(), compared.size() == 1 ? "" : "s",
                       min_group_size);
}

Cohort whole(const Predictions& p) {
    return completed({.groups = {"all"}, .group_of_case = std::vector<int>(p.size())}, p);
}

Cohort by_attribute(const Predictions& p, const std::string& attribute, int min_group_size) {
    Grouping grouping = group_by(attribute_columns(p), attribute);
    require_few_groups(grouping);
    Cohort cohort{.groups = std::move(grouping.groups),
                  .group_of_case = std::move(grouping.of),
                  .min_group_size = min_group_size};
    const int known = cohort.size();
    cohort.has_unknown = std::ranges::count(cohort.group_of_case, -1) > 0;
    std::ranges::replace(cohort.group_of_case, -1, known);
    if (cohort.has_unknown) cohort.groups.push_back("unknown");
    return completed(std::move(cohort), p);
}

Strata strata_of(const std::vector<int>& stratum_of_unit) {
    Strata strata;
    for (size_t u = 0; u < stratum_of_unit.size(); ++u) {
        const int s = stratum_of_unit[u];
        if (s < 0) continue;
        if (size_t(s) >= strata.size()) strata.resize(s + 1);
        strata[s].push_back(int(u));
    }
    return strata;
}

void draw_bootstrap(const Strata& strata, uint64_t seed, uint64_t r, std::vector<uint16_t>& times_of_unit) {
    std::fill(times_of_unit.begin(), times_of_unit.end(), uint16_t(0));
    Draws draws(key_of(seed, kBootstrap, r));
    for (const auto& units : strata)
        for (size_t i = 0; i < units.size(); ++i) ++times_of_unit[units[draws.below(units.size())]];
}

void permute_labels(const Strata& strata, uint64_t seed, uint64_t r, std::vector<uint16_t>& label_of_unit) {
    Draws draws(key_of(seed, kPermutation, r));
    for (const auto& units : strata)
        for (size_t i = units.size(); i > 1; --i)
            std::swap(label_of_unit[units[i - 1]], label_of_unit[units[draws.below(i)]]);
}

void draw_swaps(uint64_t seed, uint64_t r, std::vector<uint16_t>& swap_of_unit) {
    Draws draws(key_of(seed, kSwap, r));
    uint32_t bits = 0;
    for (size_t u = 0; u < swap_of_unit.size(); ++u) {
        if (u % 32 == 0) bits = draws.next();
        swap_of_unit[u] = (bits >> (u % 32)) & 1;
    }
}

FigureRows observed(const Scorer& scorer, const Cohort& cohort) {
    const auto as_it_is = [](uint64_t, std::vector<uint16_t>&) {};
    return score(scorer, cohort, MetricSet::all, {.resamples = 1, .threads = 1},
                 std::vector<uint16_t>(cohort.units(), 1), as_it_is, InOwnGroup{cohort});
}

FigureRows bootstrap(const Scorer& scorer, const Cohort& cohort, const EvaluateOptions& options, MetricSet metrics) {
    const Strata strata = strata_of(cohort.group_of_unit);
    const auto draw = [&](uint64_t r, auto& times) { draw_bootstrap(strata, options.seed, r, times); };
    return score(scorer, cohort, metrics, options, std::vector<uint16_t>(cohort.units()), draw, InOwnGroup{cohort});
}

FigureRows permute_groups(const Scorer& scorer,
                          const Cohort& cohort,
                          const EvaluateOptions& options,
                          MetricSet metrics) {
    std::vector<int> stratum(cohort.units(), -1);
    for (size_t u = 0; u < stratum.size(); ++u)
        if (cohort.is_compared(cohort.group_of_unit[u])) stratum[u] = cohort.diagnosis_of_unit[u];
    const Strata strata = strata_of(stratum);
    const auto draw = [&](uint64_t r, auto& groups) { permute_labels(strata, options.seed, r, groups); };
    const auto member = [&](int, int64_t i, uint16_t group) -> Membership {
        return {group, uint16_t(cohort.in_compared[i] && stratum[cohort.unit_of_case[i]] >= 0)};
    };
    return score(scorer, cohort, metrics, options, {cohort.group_of_unit.begin(), cohort.group_of_unit.end()}, draw,
                 member);
}

FigureRows swap_models(const Scorer& scorer, const Cohort& cohort, const EvaluateOptions& options) {
    const auto draw = [&](uint64_t r, auto& swap) { draw_swaps(options.seed, r, swap); };
    const auto member = [&](int model, int64_t i, uint16_t swap) { return InOwnGroup{cohort}(model ^ swap, i, 1); };
    return score(scorer, cohort, MetricSet::all, options, std::vector<uint16_t>(cohort.units()), draw, member);
}

}  // namespace fp
