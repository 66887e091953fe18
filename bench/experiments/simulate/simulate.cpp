// Are the statistics right? Classifiers of known fairness on simulated lesions (tests/fairness/lesions.h), judged by the
// engine over and over: how often it raises a false alarm, finds what is there, and holds the truth in its intervals.
//
//   build/bin/simulate DRAWS RESAMPLES [PART ...]       parts: A B C D; all where none is named
//
//   A  one fair model under several case mixes          B  which of two models is the fairer?
//   C  coverage of intervals                            D  many attributes; losses at the margin
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "bench/experiments/simulate/votes.h"

int main(int argc, char** argv) {
    using namespace fp::simulate;
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() < 2) {
        fmt::print(stderr, "simulate DRAWS RESAMPLES [A] [B] [C] [D]\n");
        return 2;
    }
    const Setting setting{.draws = std::stoi(words[0]), .resamples = std::stoi(words[1])};
    std::vector<Row> rows;
    constexpr struct {
        const char* name;
        std::vector<Row> (*run)(const Setting&);
    } kParts[] = {{"A", one_model}, {"B", two_models}, {"C", coverage}, {"D", families}};
    for (const auto& [part, run] : kParts) {
        if (words.size() > 2 && std::find(words.begin() + 2, words.end(), part) == words.end()) continue;
        for (Row& row : run(setting)) rows.push_back(std::move(row));
    }
    print(rows);
}
