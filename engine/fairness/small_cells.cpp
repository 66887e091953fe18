#include "engine/fairness/small_cells.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/fairness/student.h"

namespace fp {
namespace {

constexpr int kFewUnits = 20;
constexpr double kFewOutcomes = 5;

// Sums over the units u of a cell: n cases of which x are hits.
struct Sums {
    double n = 0, x = 0, nn = 0, xn = 0, xx = 0;
    int units = 0;

    // One unit more (sign 1) or less (-1).
    void add(double cases, double hits, int sign = 1) {
        if (cases == 0) return;
        n += sign * cases;
        x += sign * hits;
        nn += sign * cases * cases;
        xn += sign * hits * cases;
        xx += sign * hits * hits;
        units += sign;
    }
    Cell cell() const {
        Cell out{.units = units, .cases = n, .hits = x};
        if (n == 0) return out;
        const double p = x / n, agreeing = n * n / nn;
        const double variance = units < 2 ? 0 : units / (units - 1.0) * (xx - 2 * p * xn + p * p * nn) / (n * n);
        out.effective = variance > 0 && p > 0 && p < 1 ? std::clamp(p * (1 - p) / variance, agreeing, n) : agreeing;
        return out;
    }
};

// The cases of one unit in one group.
struct UnitCounts {
    double cases = 0, right = 0;
    struct OfClass {
        double truth = 0, hit = 0, predicted = 0;
    };
    std::map<int, OfClass> classes = {};  // those that occur as label or prediction
};

struct GroupSums {
    Sums accuracy, all;  // all: every case, no hit; what a class has that does not occur in a unit
    std::vector<Sums> tpr, fpr, selected;

    explicit GroupSums(size_t classes) : tpr(classes), fpr(classes), selected(classes) {}
    void add(const UnitCounts& u) {
        accuracy.add(u.cases, u.right);
        all.add(u.cases, 0);
        for (const auto& [c, k] : u.classes) {
            tpr[size_t(c)].add(k.truth, k.hit);
            fpr[size_t(c)].add(u.cases, 0, -1);
            fpr[size_t(c)].add(u.cases - k.truth, k.predicted - k.hit);
            selected[size_t(c)].add(u.cases, 0, -1);
            selected[size_t(c)].add(u.cases, k.predicted);
        }
    }
    GroupCells cells() const {
        const auto joined = [&](Sums s) {
            s.n += all.n;
            s.nn += all.nn;
            s.units += all.units;
            return s.cell();
        };
        GroupCells out{.accuracy = accuracy.cell(), .tpr = {}, .fpr = {}, .selected = {}};
        for (size_t c = 0; c < tpr.size(); ++c) {
            out.tpr.push_back(tpr[c].cell());
            out.fpr.push_back(joined(fpr[c]));
            out.selected.push_back(joined(selected[c]));
        }
        return out;
    }
};

}  // namespace

bool Cell::small() const { return units < kFewUnits || effective * std::min(rate(), 1 - rate()) < kFewOutcomes; }

Interval Cell::interval(double confidence) const {
    if (cases == 0) return {};
    const double z = normal_quantile((1 + confidence) / 2), p = rate(), zz = z * z / effective;
    const double centre = (p + zz / 2) / (1 + zz);
    const double half = z / (1 + zz) * std::sqrt(p * (1 - p) / effective + zz / (4 * effective));
    return {std::max(0.0, centre - half), std::min(1.0, centre + half), ""};
}

std::vector<GroupCells> cells_of(const Predictions& p, const Cohort& cohort) {
    std::vector<int64_t> order(size_t(p.size()));
    std::iota(order.begin(), order.end(), int64_t(0));
    std::ranges::stable_sort(order, {}, [&](int64_t i) { return cohort.unit_of_case[size_t(i)]; });
    std::vector<GroupSums> groups(size_t(cohort.size()), GroupSums(p.classes.size()));
    std::map<int, UnitCounts> unit;  // by group
    for (size_t k = 0; k < order.size(); ++k) {
        const size_t i = size_t(order[k]);
        UnitCounts& u = unit[cohort.group_of_case[i]];
        ++u.cases;
        u.right += p.label[i] == p.pred[i];
        ++u.classes[p.label[i]].truth;
        ++u.classes[p.pred[i]].predicted;
        u.classes[p.label[i]].hit += p.label[i] == p.pred[i];
        const bool last = k + 1 == order.size() || cohort.unit_of_case[size_t(order[k + 1])] != cohort.unit_of_case[i];
        if (!last) continue;
        for (const auto& [g, counts] : unit) groups[size_t(g)].add(counts);
        unit.clear();
    }
    std::vector<GroupCells> out;
    for (const GroupSums& g : groups) out.push_back(g.cells());
    return out;
}

void set_rate_interval(Measure& measure, const Cell& cell, double confidence) {
    if (!std::isnan(measure.value) && cell.small()) measure.set(cell.interval(confidence));
}

}  // namespace fp
