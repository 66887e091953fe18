// Every text report stays within 80 columns, whatever names, counts and numbers of groups it is given.
#include <gmock/gmock.h>

#include <sstream>

#include "engine/report/evaluation.h"
#include "engine/report/prune_report.h"
#include "engine/report/scores_report.h"
#include "engine/report/text_rows.h"
#include "tests/constant_network.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kLong = "a name that is far longer than any column, höher als \x07 und ohne Ende";
const std::string kWord(100, 'w');

void expect_80_columns(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(columns_of(line), 80u) << line;
        EXPECT_EQ(line.find('\x07'), std::string::npos) << line;
        EXPECT_FALSE(line.ends_with(' ')) << "'" << line << "'";
    }
    EXPECT_THAT(text, Not(HasSubstr("balanced_accura ")));
    EXPECT_THAT(text, Not(::testing::ContainsRegex("\\b1 (groups|samples|units|classes|images|resamples)\\b")));
}

// Predictions of two models for groups of a column, as many as asked for and each of ten images at least.
struct Judged {
    Predictions ours, other;

    explicit Judged(int groups) {
        Predictions& p = ours;
        p.classes = {"first " + kLong, "second", kWord};
        p.columns = {kLong, "sex"};
        p.attributes.resize(2);
        for (int i = 0; i < 24 * groups; ++i) {
            p.image.push_back(std::to_string(i));
            p.unit.push_back(p.image.back());
            p.split.emplace_back("test");
            p.label.push_back(i % 3);
            p.pred.push_back(i % 7 < 4 ? i % 3 : (i / 3) % 3);
            for (int c = 0; c < 3; ++c) p.prob.push_back(c == p.pred.back() ? .5 : .25);
            p.attributes[0].push_back(kLong + std::to_string(i % groups));
            p.attributes[1].push_back(i == 0 ? "" : i % 2 ? "male" : kWord);
        }
        p.attributes[1][1] = "alone";
        other = p;
        other.pred = p.label;
    }
};

TEST(Text, EvaluationsFit) {
    for (const int groups : {2, 3, 40}) {
        const Judged judged(groups);
        const std::vector<std::string> attributes{kLong, "sex", kLong + "*sex"};
        const Evaluation e =
            evaluation_of(judged.ours, &judged.other, groups == 40 ? std::vector<std::string>{kLong} : attributes,
                          {.resamples = 20, .positive = kWord});
        expect_80_columns(to_text(e));
        expect_80_columns(sensitivity_text(e.report, 2));
        const Threshold chosen{.positive = kLong,
                               .rule = "the largest " + kWord,
                               .value = 0.123456789,
                               .chosen_on = Threshold::Validation{.images = 1234567, .positives = 1}};
        expect_80_columns(to_text(AtThreshold{.threshold = chosen, .other = {}, .evaluation = e}));
    }
}

TEST(Text, ManyGroupsAreCutToTheWorstAndTheLargest) {
    const Judged judged(40);
    const std::string text = to_text(evaluate(judged.ours, {kLong}, {.resamples = 0}));
    EXPECT_THAT(text, HasSubstr("and 28 more groups, in the JSON"));
    EXPECT_LT(std::ranges::count(text, '\n'), 250);
    EXPECT_THAT(to_text(evaluate(judged.ours, {"sex"}, {.resamples = 0})), Not(HasSubstr("in the JSON")));
}

TEST(Text, WhichRowsAreShown) {
    const std::vector<double> worst{.5, .1, kNotEstimable, .9}, size{1, 2, 4, 3};
    EXPECT_EQ(shown_rows(4, worst, size, 4), (std::vector<size_t>{0, 1, 2, 3}));
    EXPECT_EQ(shown_rows(4, worst, size, 2), (std::vector<size_t>{1, 2}));  // the worst, the largest
    EXPECT_EQ(shown_rows(4, worst, size, 3), (std::vector<size_t>{1, 2, 3}));
}

TEST(Text, LinesAreBrokenAndCellsCutByCharacters) {
    EXPECT_EQ(cell("höher", 6), "höher ");
    EXPECT_EQ(cell("höher als", 6), "höhe~ ");
    EXPECT_EQ(columns_of("höher"), 5u);
    expect_80_columns(wrapped(kWord + kWord + " " + kWord));
    EXPECT_EQ(row("macro_precision", "x"), "macro_precision     x\n");
    EXPECT_EQ(row("  balanced_accuracy", "x"), "  balanced_accuracy x\n");
    EXPECT_EQ(row("twenty characters ..", "x"), "twenty characters ..\n" + std::string(20, ' ') + "x\n");
}

TEST(Text, AnRmsBelowItsNoiseSaysSo) {
    Judged judged(2);
    for (size_t i = 0; i < judged.ours.label.size(); ++i)
        judged.ours.pred[i] = (judged.ours.label[i] + (i / 6) % 2) % 3;
    const Report r = evaluate(judged.ours, {kLong}, {.resamples = 50});
    const auto& gaps = r.attributes[0].gaps;
    const auto negative = std::ranges::find_if(gaps, [](const Gap& g) { return g.rms_squared < 0; });
    ASSERT_NE(negative, gaps.end());
    EXPECT_EQ(negative->rms, 0);
    EXPECT_EQ(negative->rms_reason, "smaller than noise: 0");
    EXPECT_THAT(to_text(r), HasSubstr("  smaller than noise: 0 (rms^2 -"));
}

ScanResult scan() {
    ScannedSet set{.set = kWord, .channels = 32};
    const ScanFigure figure{.value = .5, .change = -.125, .p = .001, .p_holm = .001};
    for (int i = 0; i < 5; ++i)
        set.points.push_back({.share = "12.5%", .removed = 3, .balanced_accuracy = figure, .gap = figure});
    return {.criterion = "snnl",
            .attribute = kLong,
            .dense_accuracy = .6,
            .dense_gap = .2,
            .shares = std::vector<std::string>(5, "12.5%"),
            .sets = {set}};
}

SweepResult search() {
    SweepResult r;
    r.attributes = {kLong, "sex"};
    r.objective = "rms:" + kLong;
    r.tunings = 5;
    r.tests = 2;
    r.t_needed = 3.495;
    r.selected = 0;
    r.dense_figures = TestFigures{};
    for (int i = 0; i < 3; ++i) {
        SweptPoint& p = r.points.emplace_back(SweptPoint{.point = {.name = kWord + std::to_string(i)}, .runs = {}});
        const SeedSummary figure{.n = 5, .mean = .1234, .sd = .0123};
        p.val_accuracy = figure;
        p.val_objective = SeedSummary{.n = 5, .mean = -.01234, .sd = .0123};
        p.test_accuracy = figure;
        p.test_gaps = {{.attribute = kLong, .rms_squared = figure, .fair_high = .1, .shown = .2}};
        p.dominated = i == 1;
        p.near_chance = i == 2;
        AgainstControl& against = p.against.emplace_back();
        against.control = kLong;
        against.gaps.push_back({.attribute = kLong,
                                .change = {.n = 5, .mean = -.1, .low = -.3, .high = .1, .p = .2},
                                .control = .2,
                                .p_holm = .4,
                                .least_change = .25});
        r.rankings.names.push_back(kWord);
        r.rankings.tau.emplace_back(size_t(i), .5);
    }
    return r;
}

TEST(Text, PruningRunsFit) {
    const Judged judged(40);
    LoadedModel model{.network = std::make_unique<Network>(
                          testing::kConstant, ModelSpec{.arch = "constant", .classes = 3}, kernels(Backend::reference)),
                      .card = {}};
    model.network->initialize(1);
    const ImageData data = open_images("synth:n=20,size=8,classes=3,groups=2", {.image_size = 8});
    const PruneSettings settings;
    const Baseline dense(model, data, settings);
    const PruneResult result;
    PruneReport report{.dense = dense, .result = result, .settings = settings, .folder = {}};
    report.dense_totals.parameters = 1234567890;
    report.dense_totals.macs = 1.8e12;
    report.speed = {{.batch = 100000, .dense = {}, .pruned = {}, .speedup = {12.34, 11.2, 13.5}}};
    report.speed[0].dense.median = report.speed[0].pruned.median = 1e-3;
    const EvaluateOptions options{.resamples = 20};
    report.test = {.dense = evaluate(judged.other, {kLong, "sex"}, options),
                   .pruned = evaluate(judged.ours, {kLong, "sex"}, options),
                   .comparison = compare(judged.ours, judged.other, {kLong, "sex"}, options)};
    report.verdict = verdict_of(*report.test);
    const SweepResult sweep = search();
    report.sweep = &sweep;
    report.test_reads = TestReads{.split = kWord, .images = 1234567, .reason = kLong};
    const std::string text = to_text(report);
    expect_80_columns(text);
    EXPECT_THAT(text, HasSubstr("Fell: macro-F1"));
    EXPECT_THAT(text, HasSubstr("how often the test split (n=1,234,567, wwwwwwww) was read is not on record:"));
    EXPECT_THAT(text, HasSubstr("and 28 more groups, in the JSON"));
    EXPECT_THAT(text, ::testing::ContainsRegex("  male +\\(n=[0-9]+\\) "));
    EXPECT_THAT(text, Not(::testing::ContainsRegex("\\(n=[0-9]*~")));
}

TEST(Text, SearchesAndScansFit) {
    expect_80_columns(to_text(scan()));
    expect_80_columns(to_text(search()));
    EXPECT_THAT(to_text(search()), HasSubstr("1.00x -\n"));
    EXPECT_THAT(to_text(search()), HasSubstr("5 tunings of one network"));
    EXPECT_THAT(to_text(search()), HasSubstr("0.1111"));  // the rms on validation
}

TEST(Text, ScoresFit) {
    ScoresFile file;
    LayerScores& layer = file.layers.emplace_back();
    layer.layer = kWord;
    layer.attribute = kLong;
    layer.score = layer.normalized = std::vector<double>(2048, .5);
    file.note = kLong;
    ScoresReport report{.file = "scores.json", .scores = file};
    report.compared = ScoresComparison{.file = kLong, .layers = {{.layer = kWord, .attribute = kLong}}};
    expect_80_columns(to_text(report));
}

}  // namespace
}  // namespace fp
