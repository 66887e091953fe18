#include "engine/fairness/predictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/fairness/intervals.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {

AttributeColumns attribute_columns(const Predictions& p) {
    return {
        .source = "predictions", .names = p.columns, .values = [&p](size_t column) { return p.attributes[column]; }};
}

int top_class(const double* prob, int classes) { return int(std::max_element(prob, prob + classes) - prob); }

std::string unit_names(const Predictions& p) {
    std::vector<bool> open(p.label.size(), true);  // rows whose unit is not found yet
    std::string out;
    const auto add = [&](const std::string& name, const auto& gives_unit) {
        bool used = false;
        for (size_t i = 0; i < open.size(); ++i)
            if (open[i] && gives_unit(i)) {
                open[i] = false;
                used = true;
            }
        if (used) out += (out.empty() ? "" : " or ") + name;
    };
    for (const char* name : {"lesion_id", "patient_id"})
        if (const int c = find_column(p.columns, name); c >= 0)
            add(name, [&](size_t i) { return !is_unknown(p.attributes[size_t(c)][i]); });
    add("image", [](size_t) { return true; });
    return out;
}

Predictions rows_of(const Predictions& p, const std::vector<int64_t>& rows) {
    Predictions out;
    out.classes = p.classes;
    out.columns = p.columns;
    out.attributes.resize(p.attributes.size());
    for (int64_t i : rows) {
        out.image.push_back(p.image[i]);
        out.unit.push_back(p.unit[i]);
        out.split.push_back(p.split[i]);
        out.label.push_back(p.label[i]);
        out.pred.push_back(p.pred[i]);
        for (size_t a = 0; a < p.attributes.size(); ++a) out.attributes[a].push_back(p.attributes[a][i]);
        if (!p.loss.empty()) out.loss.push_back(p.loss[i]);
        if (p.has_probabilities()) out.prob.insert(out.prob.end(), p.row(i), p.row(i) + p.classes.size());
    }
    return out;
}

Predictions of_split(const Predictions& p, std::string_view split) {
    std::map<std::string, int64_t> counts;
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < p.size(); ++i) {
        ++counts[p.split[i]];
        if (p.split[i] == split) rows.push_back(i);
    }
    if (counts.size() == 1 && counts.begin()->first.empty()) return p;
    std::string there;
    for (const auto& [name, n] : counts)
        there += fmt::format("{}{} {}", there.empty() ? "" : ", ", name.empty() ? "unnamed" : name, n);
    FP_REQUIRE(!rows.empty(), Exit::data, "no prediction of split ", split, "; there are ", there);
    return rows_of(p, rows);
}

double mean_loss(const Predictions& p) {
    if (!p.loss.empty()) return std::accumulate(p.loss.begin(), p.loss.end(), 0.0) / double(p.size());
    if (!p.has_probabilities()) return kNotEstimable;
    double sum = 0;
    for (int64_t i = 0; i < p.size(); ++i) sum -= std::log(std::max(p.row(i)[p.label[i]], 1e-12));
    return sum / double(p.size());
}

}  // namespace fp
