// How far two orders of the same channels agree: two definitions of a score, two criteria, two calibration sets.
#pragma once

#include "engine/prune/choose.h"
#include "engine/prune/scores_file.h"

namespace fp {

// Kendall's tau-b over the n (n - 1) / 2 pairs of channels: C pairs in the same order, D in the other, A and B
// tied in a and in b,
//   tau = (C - D) / sqrt((pairs - A) (pairs - B))
// 1: one order; 0: unrelated; -1: the reverse. Channels that are NaN in either are left out; NaN where that
// leaves no pair or all of one side are tied.
double kendall_tau_b(const std::vector<double>& a, const std::vector<double>& b);

// The channels that are among the k lowest of both, the lower index first at a tie, NaN last.
int lowest_in_common(const std::vector<double>& a, const std::vector<double>& b, int k);

struct RankAgreement {
    std::string layer, attribute;  // a set's name and no attribute for scores that are of sets
    int channels = 0;
    double tau = 0;
    int lowest = 0;  // how many channels `amount` takes of this layer alone, a tenth where it is no count or share
    int common = 0;  // of those, in both

    // What two unrelated orders have in common: lowest^2 / channels.
    double common_if_unrelated() const { return double(lowest) * lowest / channels; }
};

// The mean of tau over the sets that both have, each weighted by its channels; NaN where there is none.
double mean_tau(const SetScores& a, const SetScores& b);

// Layer by layer and attribute by attribute where both are snnl scores, else set by set, of what is in both
// files. Exit::data where that is nothing, or where the channels differ.
std::vector<RankAgreement> compare_ranks(const ScoresFile& a, const ScoresFile& b, const Amount& amount);

// How similarly the criteria of a search order the channels.
struct Ranking {
    std::string name;  // a criterion with its settings
    SetScores scores;
};
struct RankTable {
    std::vector<std::string> names;
    std::vector<std::vector<double>> tau;  // row i: mean_tau of ranking i with each before it
};
RankTable rank_table(const std::vector<Ranking>&);

}  // namespace fp
