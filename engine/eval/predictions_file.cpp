#include "engine/eval/predictions_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_map>

#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr std::string_view kProb = "prob_";
constexpr double kSumTolerance = 0.1;  // printed with two decimals, a hundred classes miss 1 by that much

bool is_probability_column(const std::string& name) { return name.rfind(kProb, 0) == 0; }

// What a column is for; -1 where the table has none.
struct Columns {
    int image, label, pred, split, unit;
    std::vector<int> prob, attributes;
};

Columns columns_of(const Table& table) {
    Columns c{.image = table.column("image"),
              .label = table.column("label"),
              .pred = table.column("pred"),
              .split = table.column("split"),
              .unit = table.column(unit_column(table.header)),
              .prob = {},
              .attributes = {}};
    for (int i = 0; i < int(table.header.size()); ++i) {
        if (i == c.image || i == c.label || i == c.pred || i == c.split) continue;
        (is_probability_column(table.header[i]) ? c.prob : c.attributes).push_back(i);
    }
    return c;
}

std::optional<double> number(const std::string& cell) {
    double value = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || end != cell.data() + cell.size()) return std::nullopt;
    return value;
}

double probability(const std::string& cell, const Table& table, size_t row, int column) {
    const std::optional<double> value = number(cell);
    FP_REQUIRE(value && *value >= 0 && *value <= 1, Exit::data, table.name, ":", table.lines[row], ": ",
               table.header[column], " is '", cell, "', not a probability of 0 to 1");
    return *value;
}

void sort_labels(std::vector<std::string>& labels) {
    const bool numbers = std::all_of(labels.begin(), labels.end(), [](const auto& l) { return number(l).has_value(); });
    std::sort(labels.begin(), labels.end(), [&](const auto& a, const auto& b) {
        return numbers && *number(a) != *number(b) ? *number(a) < *number(b) : a < b;
    });
}

std::vector<std::string> classes_of(const Table& table, const Columns& columns) {
    std::vector<std::string> classes;
    for (int i : columns.prob) classes.push_back(table.header[i].substr(kProb.size()));
    if (!classes.empty()) return classes;
    for (const auto& row : table.rows) {
        classes.push_back(row[columns.label]);
        classes.push_back(row[columns.pred]);
    }
    sort_labels(classes);
    classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
    return classes;
}

void check_columns(const Table& table, const Columns& c) {
    FP_REQUIRE(c.image >= 0 && c.label >= 0, Exit::data, table.name,
               ": predictions need the columns image and label, this file has ", list(table.header));
    FP_REQUIRE(c.pred >= 0 || !c.prob.empty(), Exit::data, table.name,
               ": predictions need a column pred or one prob_<class> for each class");
    FP_REQUIRE(!table.rows.empty(), Exit::data, table.name, ": no row of predictions");
}

}  // namespace

Predictions predictions_of(const Table& table) {
    const Columns columns = columns_of(table);
    check_columns(table, columns);

    Predictions p;
    p.classes = classes_of(table, columns);
    const int classes = int(p.classes.size());
    FP_REQUIRE(classes >= 2, Exit::data, table.name, ": ", classes, " class, at least 2 are needed");
    std::unordered_map<std::string, int> index;
    for (int c = 0; c < classes; ++c) index.emplace(p.classes[c], c);

    for (int i : columns.attributes) p.columns.push_back(table.header[i]);
    p.attributes.resize(p.columns.size());
    p.prob.reserve(table.rows.size() * columns.prob.size());

    std::unordered_map<std::string, int64_t> line_of;
    for (size_t r = 0; r < table.rows.size(); ++r) {
        const auto& row = table.rows[r];
        const auto class_of = [&](int column) {
            const auto found = index.find(row[column]);
            FP_REQUIRE(found != index.end(), Exit::data, table.name, ":", table.lines[r], ": ", table.header[column],
                       " '", row[column], "' is not among the ", classes, " classes of the prob_ columns");
            return found->second;
        };
        const std::string& image = row[columns.image];
        const auto [seen, fresh] = line_of.emplace(image, table.lines[r]);
        FP_REQUIRE(fresh, Exit::data, table.name, ":", table.lines[r], ": image '", image, "' is also on line ",
                   seen->second);

        p.image.push_back(image);
        const std::string& unit = row[columns.unit];
        p.unit.push_back(unit.empty() ? image : unit);
        p.split.push_back(columns.split < 0 ? "" : row[columns.split]);
        p.label.push_back(class_of(columns.label));
        for (size_t a = 0; a < columns.attributes.size(); ++a) p.attributes[a].push_back(row[columns.attributes[a]]);

        double sum = 0;
        for (int i : columns.prob) {
            p.prob.push_back(probability(row[i], table, r, i));
            sum += p.prob.back();
        }
        FP_REQUIRE(columns.prob.empty() || std::abs(sum - 1) <= kSumTolerance, Exit::data, table.name, ":",
                   table.lines[r], ": the ", classes, " probabilities sum to ", sum, ", not 1");
        p.pred.push_back(columns.pred < 0 ? top_class(p.row(int64_t(r)), classes) : class_of(columns.pred));
    }
    return p;
}

Predictions read_predictions(const std::filesystem::path& path) { return predictions_of(read_csv(path)); }

// A data set may have a column that means something else here: its split by another hand, a `pred` of somebody's.
std::string name_of_attribute(const std::string& column) {
    const bool taken = column == "image" || column == "label" || column == "split" || column == "pred" ||
                       is_probability_column(column);
    return taken ? "data_" + column : column;
}

Table table_of(const Predictions& p) {
    Table table;
    table.header = {"image", "label"};
    for (const std::string& column : p.columns) table.header.push_back(name_of_attribute(column));
    table.header.push_back("split");
    if (p.has_probabilities())
        for (const auto& name : p.classes) table.header.push_back(std::string(kProb) + name);
    table.header.push_back("pred");

    for (int64_t i = 0; i < p.size(); ++i) {
        std::vector<std::string> row{p.image[i], p.classes[p.label[i]]};
        for (const auto& column : p.attributes) row.push_back(column[i]);
        row.push_back(p.split[i]);
        if (p.has_probabilities())
            for (size_t c = 0; c < p.classes.size(); ++c) row.push_back(fmt::format("{}", p.row(i)[c]));
        row.push_back(p.classes[p.pred[i]]);
        table.rows.push_back(std::move(row));
    }
    return table;
}

void write_predictions(const std::filesystem::path& path, const Predictions& predictions) {
    write_csv(path, table_of(predictions));
}

}  // namespace fp
