#include "bench/experiments/simulate/votes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fp::simulate {
namespace {

constexpr const char* kKinds[] = {"false alarms", "covers", "power", "share"};

}  // namespace

double Row::error() const { return 2 * std::sqrt(nominal * (1 - nominal) / answers); }

bool Row::holds() const {
    if (kind == Kind::false_alarms) return seen <= nominal + error();
    return kind != Kind::covers || seen >= nominal - error();
}

std::vector<Row> count_votes(const std::string& part,
                             const std::string& scenario,
                             int draws,
                             const std::function<std::vector<Vote>(int draw)>& ask) {
    std::vector<std::vector<Vote>> votes(static_cast<size_t>(draws));
#pragma omp parallel for schedule(dynamic)
    for (int draw = 0; draw < draws; ++draw) votes[size_t(draw)] = ask(draw);
    std::vector<Row> rows;
    for (const auto& of_draw : votes)
        for (const Vote& vote : of_draw) {
            auto row = std::ranges::find_if(
                rows, [&](const Row& r) { return r.figure == vote.figure && r.kind == vote.kind; });
            if (row == rows.end()) row = rows.insert(row, {part, scenario, vote.figure, vote.kind, vote.nominal, 0, 0});
            row->seen += vote.outcome;
            ++row->answers;
        }
    for (Row& row : rows) row.seen /= row.answers;
    return rows;
}

void print(const std::vector<Row>& rows) {
    fmt::print("| part | scenario | figure | what | nominal | error | seen | draws | holds |\n");
    fmt::print("|---|---|---|---|--:|--:|--:|--:|---|\n");
    for (const Row& r : rows) {
        const bool judged = r.kind == Kind::false_alarms || r.kind == Kind::covers;
        fmt::print("| {} | {} | {} | {} | {} | {} | {:.3f} | {} | {} |\n", r.part, r.scenario, r.figure,
                   kKinds[int(r.kind)], judged ? fmt::format("{:.3f}", r.nominal) : "",
                   judged ? fmt::format("{:.3f}", r.error()) : "", r.seen, r.answers,
                   !judged     ? ""
                   : r.holds() ? "yes"
                               : "no");
    }
}

}  // namespace fp::simulate
