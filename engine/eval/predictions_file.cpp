#include "engine/eval/predictions_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <unordered_map>

#include "engine/data/dataset.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr std::string_view kProb = "prob_";
constexpr double kSumTolerance = 0.1;  // printed with two decimals, a hundred classes miss 1 by that much

// Whether an attribute can have this name in a file.
bool is_attribute(std::string_view column) {
    constexpr std::array<std::string_view, 4> kTaken{"image", "label", "pred", "split"};
    return !column.starts_with(kProb) && std::ranges::find(kTaken, column) == kTaken.end();
}

// The column of each purpose; -1 where the table has none.
struct Columns {
    int image, label, pred, split;
    std::vector<int> prob = {}, attributes = {};
};

Columns columns_of(const Table& table) {
    Columns c{.image = find_column(table.header, "image"),
              .label = find_column(table.header, "label"),
              .pred = table.column("pred"),
              .split = table.column("split")};
    for (int i = 0; i < int(table.header.size()); ++i) {
        if (table.header[i].starts_with(kProb))
            c.prob.push_back(i);
        else if (i != c.image && i != c.label && i != c.pred && i != c.split)
            c.attributes.push_back(i);
    }
    FP_REQUIRE(c.label >= 0, Exit::data, table.name, ": predictions need a column label, this file has ",
               list(table.header));
    FP_REQUIRE(c.pred >= 0 || !c.prob.empty(), Exit::data, table.name,
               ": predictions need a column pred or one prob_<class> for each class");
    FP_REQUIRE(!table.rows.empty(), Exit::data, table.name, ": no row of predictions");
    return c;
}

std::vector<std::string> classes_of(const Table& table, const Columns& columns) {
    if (!columns.prob.empty()) {
        std::vector<std::string> classes;
        for (int i : columns.prob) classes.push_back(table.header[i].substr(kProb.size()));
        return classes;
    }
    std::set<std::string> distinct;
    for (size_t r = 0; r < table.rows.size(); ++r)
        for (const int column : {columns.label, columns.pred}) {
            const std::string word(table.rows[r][column]);
            FP_REQUIRE(!plain(word).empty() && plain(word) != "nan", Exit::data, table.name, ":", table.lines[r], ": ",
                       table.header[column], " is '", word, "', which names no class");
            distinct.insert(word);
        }
    return sorted_words(distinct);
}

}  // namespace

Predictions predictions_of(const Table& table, const std::vector<std::string>& unknown) {
    const Columns columns = columns_of(table);
    Predictions p;
    p.classes = classes_of(table, columns);
    const int classes = int(p.classes.size());
    FP_REQUIRE(classes >= 2, Exit::data, table.name, ": ", classes, " class, at least 2 are needed");
    for (int i : columns.attributes) p.columns.push_back(table.header[i]);
    p.attributes.resize(p.columns.size());

    const std::vector<int> units = unit_columns(p.columns);
    std::unordered_map<std::string, int> index;
    for (int c = 0; c < classes; ++c) index.emplace(p.classes[c], c);
    std::unordered_map<std::string, int64_t> line_of;
    for (size_t r = 0; r < table.rows.size(); ++r) {
        const Cells& row = table.rows[r];
        const auto at = [&] { return text(table.name, ":", table.lines[r], ": "); };
        const auto class_of = [&](int column) {
            const auto found = index.find(std::string(row[column]));
            FP_REQUIRE(found != index.end(), Exit::data, at(), table.header[column], " '", row[column],
                       "' is not among the ", classes, " classes of the prob_ columns");
            return found->second;
        };
        const std::string image = columns.image < 0 ? text("row ", r + 1) : std::string(row[columns.image]);
        const auto [seen, fresh] = line_of.emplace(image, table.lines[r]);
        FP_REQUIRE(fresh, Exit::data, at(), "image '", image, "' is also on line ", seen->second);
        p.image.push_back(image);
        const std::string split = columns.split < 0 ? "" : trimmed(row[columns.split]);
        const std::optional<Split> usual = parse_split(split);
        p.split.push_back(usual ? std::string(name(*usual)) : split);
        p.label.push_back(class_of(columns.label));
        Cells attributes;
        for (const int a : columns.attributes) attributes.push_back(as_unknown(row[a], unknown));
        p.unit.push_back(unit_of(attributes, units, image));
        for (size_t a = 0; a < attributes.size(); ++a) p.attributes[a].emplace_back(attributes[a]);

        double sum = 0;
        for (int i : columns.prob) {
            const auto value = parse_number(row[i]);
            FP_REQUIRE(value && *value >= 0 && *value <= 1, Exit::data, at(), table.header[i], " is '", row[i],
                       "', not a probability of 0 to 1");
            p.prob.push_back(*value);
            sum += *value;
        }
        FP_REQUIRE(columns.prob.empty() || std::abs(sum - 1) <= kSumTolerance, Exit::data, at(), "the ", classes,
                   " probabilities sum to ", sum, ", not 1");
        p.pred.push_back(columns.pred < 0 ? top_class(p.row(int64_t(r)), classes) : class_of(columns.pred));
    }
    return p;
}

Table table_of(const Predictions& p) {
    Table table;
    table.header = {"image"};
    if (p.has_labels()) table.header.push_back("label");
    for (const std::string& column : p.columns)
        table.header.push_back(is_attribute(column) ? column : "data_" + column);
    if (p.has_labels()) table.header.push_back("split");
    if (p.has_probabilities())
        for (const auto& name : p.classes) table.header.push_back(std::string(kProb) + name);
    table.header.push_back("pred");

    for (int64_t i = 0; i < p.size(); ++i) {
        Cells& row = table.rows.emplace_back();
        row = {p.image[i]};
        if (p.has_labels()) row.push_back(p.classes[p.label[i]]);
        for (const auto& column : p.attributes) row.push_back(column[i]);
        if (p.has_labels()) row.push_back(p.split[i]);
        if (p.has_probabilities())
            for (size_t c = 0; c < p.classes.size(); ++c) row.push_back(fmt::format("{}", p.row(i)[c]));
        row.push_back(p.classes[p.pred[i]]);
    }
    return table;
}

void write_predictions(const std::filesystem::path& path, const Predictions& predictions) {
    write_csv(path, table_of(predictions));
}

}  // namespace fp
