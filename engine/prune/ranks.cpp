#include "engine/prune/ranks.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/fairness/intervals.h"
#include "kernels/error.h"

namespace fp {
namespace {

int sign(double x) { return (x > 0) - (x < 0); }

std::vector<int> lowest_first(const std::vector<double>& v) {
    std::vector<int> order(v.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int x, int y) { return std::isnan(v[y]) ? !std::isnan(v[x]) : v[x] < v[y]; });
    return order;
}

int taken(const Amount& amount, int channels) {
    double k = 0.1 * channels;
    if (amount.kind == Amount::Kind::channels) k = amount.value;
    if (amount.kind == Amount::Kind::share) k = amount.value * channels;
    return std::clamp(int(std::lround(k)), 1, channels);
}

RankAgreement agreement(const std::string& layer,
                        const std::string& attribute,
                        const std::vector<double>& a,
                        const std::vector<double>& b,
                        const Amount& amount) {
    FP_REQUIRE(a.size() == b.size() && !a.empty(), Exit::data, "scores of ", layer, ": ", a.size(), " channels and ",
               b.size());
    const int k = taken(amount, int(a.size()));
    return {.layer = layer,
            .attribute = attribute,
            .channels = int(a.size()),
            .tau = kendall_tau_b(a, b),
            .lowest = k,
            .common = lowest_in_common(a, b, k)};
}

}  // namespace

double kendall_tau_b(const std::vector<double>& a, const std::vector<double>& b) {
    FP_CHECK(a.size() == b.size(), "tau: ", a.size(), " values and ", b.size());
    double balance = 0, untied_a = 0, untied_b = 0;
    for (size_t i = 0; i < a.size(); ++i)
        for (size_t j = 0; j < i; ++j) {
            if (std::isnan(a[i] + a[j] + b[i] + b[j])) continue;
            const int in_a = sign(a[i] - a[j]), in_b = sign(b[i] - b[j]);
            balance += in_a * in_b;
            untied_a += in_a != 0;
            untied_b += in_b != 0;
        }
    if (untied_a == 0 || untied_b == 0) return kNotEstimable;
    return balance / std::sqrt(untied_a * untied_b);
}

int lowest_in_common(const std::vector<double>& a, const std::vector<double>& b, int k) {
    FP_CHECK(a.size() == b.size() && k >= 0 && size_t(k) <= a.size(), "lowest: ", k, " of ", a.size(), " and ",
             b.size());
    const std::vector<int> in_a = lowest_first(a), in_b = lowest_first(b);
    return int(std::count_if(in_a.begin(), in_a.begin() + k,
                             [&](int c) { return std::find(in_b.begin(), in_b.begin() + k, c) != in_b.begin() + k; }));
}

double mean_tau(const SetScores& a, const SetScores& b) {
    double sum = 0, channels = 0;
    for (const auto& [set, values] : a) {
        const auto other = b.find(set);
        if (other == b.end()) continue;
        const double tau = kendall_tau_b(values, other->second);
        if (std::isnan(tau)) continue;
        sum += double(values.size()) * tau;
        channels += double(values.size());
    }
    return sum / channels;
}

std::vector<RankAgreement> compare_ranks(const ScoresFile& a, const ScoresFile& b, const Amount& amount) {
    std::vector<RankAgreement> out;
    for (const LayerScores& x : a.layers)
        for (const LayerScores& y : b.layers)
            if (x.layer == y.layer && x.attribute == y.attribute)
                out.push_back(agreement(x.layer, x.attribute, x.normalized, y.normalized, amount));
    if (a.criterion != b.criterion || a.layers.empty())
        for (const auto& [set, values] : a.sets) {
            const auto found = b.sets.find(set);
            if (found != b.sets.end()) out.push_back(agreement(set, "", values, found->second, amount));
        }
    FP_REQUIRE(!out.empty(), Exit::data, "the two files of scores have no layer and attribute, and no set, in common");
    return out;
}

RankTable rank_table(const std::vector<Ranking>& rankings) {
    RankTable out;
    for (size_t i = 0; i < rankings.size(); ++i) {
        out.names.push_back(rankings[i].name);
        std::vector<double>& row = out.tau.emplace_back();
        for (size_t j = 0; j < i; ++j) row.push_back(mean_tau(rankings[i].scores, rankings[j].scores));
    }
    return out;
}

}  // namespace fp
