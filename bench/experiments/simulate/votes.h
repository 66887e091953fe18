// What a simulation counts: in how many of its draws something was claimed, covered or given.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fp::simulate {

struct Setting {
    int draws = 300, resamples = 300;
};

enum class Kind {
    false_alarms,  // the share must not exceed the nominal one
    covers,        // the share must not be below the nominal one
    power,         // as large as can be
    share          // to know
};

// One draw's answer to one question.
struct Vote {
    std::string figure;
    Kind kind;
    double nominal;  // NaN where there is none
    double outcome;  // 1 or 0, or a number to be averaged
};

struct Row {
    std::string part, scenario, figure;
    Kind kind;
    double nominal;
    double seen;  // mean outcome
    int answers;  // draws that gave one

    // Two standard errors of a share at its nominal level.
    double error() const;
    // Whether the share is at its nominal level within that error.
    bool holds() const;
};

// `ask(draw)` for each draw, on all cores; its answers counted by figure and kind, in the order of their first
// appearance.
std::vector<Row> count_votes(const std::string& part,
                             const std::string& scenario,
                             int draws,
                             const std::function<std::vector<Vote>(int draw)>& ask);

// A Markdown table of the rows.
void print(const std::vector<Row>&);

std::vector<Row> one_model(const Setting&);   // A: a fair model, under any case mix
std::vector<Row> two_models(const Setting&);  // B: which of two is the fairer?
std::vector<Row> coverage(const Setting&);    // C: do intervals hold the truth?
std::vector<Row> families(const Setting&);    // D: many attributes; losses at the margin

}  // namespace fp::simulate
