// fairprune._core: fairness of predictions, and scores of channels, as the documents that the tools write.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "engine/core/elements.h"
#include "engine/eval/predictions_file.h"
#include "engine/io/json.h"
#include "engine/prune/scores_file.h"
#include "engine/report/evaluation.h"
#include "engine/report/trainings_report.h"
#include "engine/run/device.h"
#include "engine/run/run_folder.h"
#include "engine/run/test_reads.h"
#include "python/module.h"

namespace nb = nanobind;

namespace fp::python {
namespace {

using Column = std::pair<std::string, std::vector<std::string>>;  // name, one cell per row
using Columns = std::vector<Column>;                              // all of one length

// Rows are counted from 0 in messages, as in the caller's arrays.
Predictions predictions_in(const Columns& columns, const std::string& name) {
    Table table{.name = name};
    for (const auto& [header, cells] : columns) table.header.push_back(header);
    for (size_t row = 0; row < columns.front().second.size(); ++row) {
        Cells& cells = table.rows.emplace_back();
        for (const auto& [header, column] : columns) cells.push_back(column[row]);
        table.lines.push_back(int64_t(row));
    }
    return predictions_of(table);
}

// On record as one read of a test split (engine/run/test_reads.h), of however many models, unless the rows are of
// another split. Called once the figures are made, and before they are seen: what was refused is no read.
std::optional<TestReads> record_read(const std::vector<Predictions>& judged, const std::string& function) {
    TestRead read{.split = test_split(judged.front()), .models = {}};
    if (read.split.images == 0) return std::nullopt;
    for (const Predictions& p : judged) read.models.push_back(predictions_hash(p));
    const TestReads out = record_test_read(read, {.tool = "Python", .command_line = "fairprune." + function});
    const nb::gil_scoped_acquire held;
    if (!out.fault.empty() && PyErr_WarnEx(PyExc_UserWarning, out.fault.c_str(), 1) != 0) throw nb::python_error();
    return out;
}

std::string evaluate_columns(const Columns& ours,
                             const std::optional<Columns>& theirs,
                             const std::vector<std::string>& attributes,
                             const EvaluateOptions& options) {
    const nb::gil_scoped_release free;
    std::vector<Predictions> judged{predictions_in(ours, "predictions")};
    if (theirs) judged.push_back(predictions_in(*theirs, "predictions of the other model"));
    Evaluation evaluation = evaluation_of(judged[0], theirs ? &judged[1] : nullptr, attributes, options);
    evaluation.judged = judged_rows(judged[0], "").judged;
    evaluation.test_reads = record_read(judged, theirs ? "compare" : "evaluate");
    return json_text(evaluation, std::nullopt);
}

std::string compare_columns_of_trainings(const std::vector<Columns>& ours,
                                         const std::vector<Columns>& theirs,
                                         const std::vector<std::string>& attributes,
                                         const EvaluateOptions& options) {
    const nb::gil_scoped_release free;
    const auto predictions = [](const std::vector<Columns>& trainings, const std::string& name) {
        std::vector<Predictions> out;
        for (size_t j = 0; j < trainings.size(); ++j)
            out.push_back(predictions_in(trainings[j], text(name, " of training ", j)));
        return out;
    };
    const std::vector<Predictions> mine = predictions(ours, "predictions"),
                                   other = predictions(theirs, "predictions of the other method");
    const TrainingsReport report = compare_trainings(mine, other, attributes, options);
    std::vector<Predictions> judged = mine;
    judged.insert(judged.end(), other.begin(), other.end());
    return json_text(report, {}, record_read(judged, "compare_trainings"));
}

std::vector<int32_t> numbers_of(const std::vector<std::string>& values, const char* what) {
    const Grouping g = group_by({.source = what, .names = {what}, .values = [&](size_t) { return values; }}, what);
    return {g.of.begin(), g.of.end()};
}

std::string snnl_scores(const Floats4& x,
                        const std::vector<std::string>& groups,
                        const std::vector<std::string>& classes,
                        const SnnlOptions& options,
                        const std::string& device) {
    const nb::gil_scoped_release free;
    const Kernels& k = use_device({.device = device});
    const Map map{.n = int(x.shape(0)),
                  .c = int(x.shape(1)),
                  .h = int(x.shape(2)),
                  .w = int(x.shape(3)),
                  .block = k.block(int(x.shape(1)))};
    Features features{
        .layer = "features", .map = map, .data = Buffer(k.memory, size_t(map.stored()) * bytes_of(k.activation))};
    write_maps(k, features.data.data(), map, x.data());
    const std::vector<LabelSet> sets{{.name = "groups", .of = numbers_of(groups, "groups")}};
    const auto strata = classes.empty() ? std::vector<int32_t>(groups.size(), 0) : numbers_of(classes, "classes");
    const LayerScores scores =
        score_layer(k, features, sets, strata, options, Tap::convolution, answer_signals).front();
    return json_document([&](nlohmann::ordered_json& out) { write(out, scores); });
}

// A word as the enumerator that is written so.
template <class Enum>
Enum spelled(const std::string& word, const char* what, std::initializer_list<Enum> all) {
    std::string words;
    for (const Enum e : all) {
        if (word == name(e)) return e;
        words += text(words.empty() ? "" : " or ", name(e));
    }
    fail_with(Exit::usage, what, " ", word, " is unknown: ", words);
}

}  // namespace

void add_statistics(nb::module_& m) {
    m.def("evaluate",
          [](const Columns& ours, const std::optional<Columns>& theirs, const std::vector<std::string>& attributes,
             int resamples, double confidence, int min_group_size, const std::string& positive, double specificity,
             double margin, uint64_t seed, int threads) {
              return evaluate_columns(ours, theirs, attributes,
                                      {.resamples = resamples,
                                       .confidence = confidence,
                                       .min_group_size = min_group_size,
                                       .positive = positive,
                                       .specificity = specificity,
                                       .margin = margin,
                                       .seed = seed,
                                       .threads = threads,
                                       .progress = answer_signals_after});
          });
    m.def("compare_trainings",
          [](const std::vector<Columns>& ours, const std::vector<Columns>& theirs,
             const std::vector<std::string>& attributes, int resamples, double confidence, int min_group_size,
             const std::string& positive, double specificity, uint64_t seed, int threads) {
              return compare_columns_of_trainings(ours, theirs, attributes,
                                                  {.resamples = resamples,
                                                   .confidence = confidence,
                                                   .min_group_size = min_group_size,
                                                   .positive = positive,
                                                   .specificity = specificity,
                                                   .seed = seed,
                                                   .threads = threads,
                                                   .progress = answer_signals_after});
          });
    m.def("snnl_scores",
          [](const Floats4& x, const std::vector<std::string>& groups, const std::vector<std::string>& classes,
             double temperature, const std::string& distance, const std::string& definition, int block,
             int permutations, uint64_t seed, const std::string& device) {
              using D = SnnlShape::Definition;
              using L = SnnlShape::Distance;
              return snnl_scores(x, groups, classes,
                                 {.definition = spelled(definition, "definition", {D::exact, D::as_released}),
                                  .distance = spelled(distance, "distance", {L::cosine, L::euclidean}),
                                  .temperature = temperature,
                                  .given_class = !classes.empty(),
                                  .block = block,
                                  .permutations = permutations,
                                  .seed = seed},
                                 device);
          });
}

}  // namespace fp::python
