#include "engine/fairness/bootstrap.h"

#include <omp.h>

#include <algorithm>

#include "kernels/error.h"

namespace fp {
namespace {

// A thread is not worth starting for fewer visits of a case than this.
constexpr int64_t kVisitsAThread = 500'000;

// Scores `count` weightings. make() gives a thread its own function that fills the memberships of number r.
template <class Make>
FigureRows score(const Scorer& scorer, const Cohort& cohort, Parts parts, const Plan& plan, Make make) {
    const int models = int(scorer.cases() / cohort.cases());
    FP_CHECK(scorer.cases() == models * cohort.cases(), scorer.cases(), " cases are no multiple of ", cohort.cases());
    FigureRows rows{.layout = {.groups = models * cohort.size(), .classes = scorer.classes()},
                    .seen = cohort.seen,
                    .count = plan.count,
                    .values = {}};
    rows.values.resize(size_t(plan.count) * rows.layout.width());
    const int64_t most = plan.threads > 0 ? plan.threads : omp_get_max_threads();
    const int threads = int(std::clamp<int64_t>(plan.count * scorer.cases() / kVisitsAThread, 1, most));
#pragma omp parallel num_threads(threads)
    {
        auto fill = make();
        Scorer::Scratch scratch;
        std::vector<Membership> members(scorer.cases());
#pragma omp for schedule(static)
        for (int64_t r = 0; r < plan.count; ++r) {
            fill(r, members);
            scorer.figures(members, rows.layout.groups, parts, scratch, rows.values.data() + r * rows.layout.width());
        }
    }
    return rows;
}

}  // namespace

std::vector<double> FigureRows::column(int index) const {
    std::vector<double> out(count);
    for (int64_t r = 0; r < count; ++r) out[r] = row(r)[index];
    return out;
}

FigureRows observed(const Scorer& scorer, const Cohort& cohort) {
    const int64_t n = cohort.cases();
    return score(scorer, cohort, Parts::all, {.count = 1, .seed = 0, .threads = 1}, [&] {
        return [&](int64_t, std::vector<Membership>& members) {
            for (size_t i = 0; i < members.size(); ++i)
                members[i].group = uint16_t(int64_t(i) / n * cohort.size() + cohort.group_of_case[i % n]);
        };
    });
}

FigureRows bootstrap(const Scorer& scorer, const Cohort& cohort, const Plan& plan, Parts parts) {
    const Bootstrap draws(cohort.group_of_unit, plan.seed);
    const int64_t n = cohort.cases();
    return score(scorer, cohort, parts, plan, [&] {
        return [&, times = std::vector<uint16_t>(cohort.units.count())](int64_t r,
                                                                        std::vector<Membership>& members) mutable {
            draws.draw(uint64_t(r), times);
            for (size_t i = 0; i < members.size(); ++i)
                members[i] = {.group = uint16_t(int64_t(i) / n * cohort.size() + cohort.group_of_case[i % n]),
                              .times = times[cohort.units.of_case[i % n]]};
        };
    });
}

FigureRows permute_groups(const Scorer& scorer, const Cohort& cohort, Null null, const Plan& plan) {
    std::vector<int> strata(cohort.units.count(), -1);
    for (size_t u = 0; u < strata.size(); ++u)
        if (cohort.is_compared(cohort.group_of_unit[u]))
            strata[u] = null == Null::over_all ? 0 : cohort.diagnosis_of_unit[u];
    const Permutation draws(strata, {cohort.group_of_unit.begin(), cohort.group_of_unit.end()}, plan.seed);
    std::vector<uint16_t> takes_part(cohort.cases());
    for (size_t i = 0; i < takes_part.size(); ++i)
        takes_part[i] = strata[cohort.units.of_case[i]] >= 0 && cohort.is_compared(cohort.group_of_case[i]);

    const Parts parts = null == Null::over_all ? Parts::all : Parts::counts;
    return score(scorer, cohort, parts, plan, [&] {
        return [&, group = std::vector<uint16_t>()](int64_t r, std::vector<Membership>& members) mutable {
            draws.draw(uint64_t(r), group);
            for (size_t i = 0; i < members.size(); ++i)
                members[i] = {.group = group[cohort.units.of_case[i]], .times = takes_part[i]};
        };
    });
}

FigureRows swap_models(const Scorer& scorer, const Cohort& cohort, const Plan& plan) {
    const int64_t n = cohort.cases();
    FP_CHECK(scorer.cases() == 2 * n, scorer.cases(), " cases are not two models of ", n);
    return score(scorer, cohort, Parts::all, plan, [&] {
        return [&, swap = std::vector<uint8_t>(cohort.units.count())](int64_t r,
                                                                      std::vector<Membership>& members) mutable {
            draw_swaps(plan.seed, uint64_t(r), swap);
            for (int64_t i = 0; i < n; ++i) {
                const int model = swap[cohort.units.of_case[i]];
                members[i].group = uint16_t(model * cohort.size() + cohort.group_of_case[i]);
                members[n + i].group = uint16_t((1 - model) * cohort.size() + cohort.group_of_case[i]);
            }
        };
    });
}

}  // namespace fp
