// The page and the card: the page holds its document whole, a browser draws what must be in it, and text from files
// stays text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/report/page.h"
#include "engine/report/prune_report.h"
#include "tests/report/drawn.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
using testing::count;
using testing::Drawn;
using testing::expect_rows;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::sample;

// The JSON as a browser takes it out of the page: up to the first end of a script element.
ordered_json document_in(const std::string& page) {
    const std::string slot = "id=\"document\">";
    const size_t begin = page.find(slot) + slot.size();
    return ordered_json::parse(page.substr(begin, page.find("</script", begin) - begin));
}

TEST(Page, LoadsNothingFromElsewhere) {
    for (const char* name : testing::kSamples) {
        const std::string page = report_page(sample(name));
        for (const char* outside : {"http:", "https:", "<link", "@import", "url("})
            EXPECT_THAT(page, Not(HasSubstr(outside)));
        // Only the gallery has sources, which stand in the document.
        EXPECT_EQ(count(page, "src="), count(page, "<img src=\"${m.png}\"")) << name;
        for (const char* part : {"prefers-color-scheme: dark", "@media print", "<noscript>"})
            EXPECT_THAT(page, HasSubstr(part));
    }
}

TEST(Page, HoldsItsDocumentWhole) {
    for (const char* name : testing::kSamples) EXPECT_EQ(document_in(report_page(sample(name))), sample(name));
}

TEST(Page, NoTextOfADocumentLeavesItsElement) {
    const std::string plain = report_page(sample("run"));
    for (const std::string hostile :
         {"</script><script>alert(1)</script>", "</SCRIPT >", "<!--<script>", "-->", "]]>", "\"'`${1}",
          "\\u003c/script>", "\x01\b\n\r\t\x1f\x7f", "\u2028\u2029", "id=\"document\">"}) {
        ordered_json r = sample("run");
        r["title"] = hostile;
        r["environment"][hostile] = hostile;
        const std::string page = report_page(r);
        EXPECT_EQ(document_in(page), r) << hostile;
        for (const char* markup : {"<script", "</script", "</SCRIPT", "<!--"})
            EXPECT_EQ(count(page, markup), count(plain, markup)) << hostile;
    }
}

TEST(Page, ReplacesBytesThatAreNotUtf8) {
    ordered_json r = sample("run");
    r["title"] = "caf\xe9!";
    EXPECT_EQ(document_in(report_page(r)).at("title"), "caf\xef\xbf\xbd!");
}

TEST_F(Drawn, ARunShowsItsFigures) {
    expect_rows(
        drawn(sample("run")),
        {"<h1>resnet18 pruned on generated images</h1>",
         "<p>Channels of all layers chosen by snnl (exact, given the class, at the conv output) against group: "
         "macs:50% per round, 1 round, then 1 epoch of fine-tuning of all (sampling: class-group).</p>",
         "<b>The gap by group fell, and so did accuracy.</b><h3>By group</h3><ul><li>Equalized-odds gap by group: "
         "better",
         "<b>15.9 %</b><span>of 0.70 M parameters are left</span>",
         "<b>1.27x</b><span>measured speed, batch 1</span><span>[1.27, 1.28]</span>",
         "<b>0.080 \u2192 0.050</b><span>gap by group (eodd_rms)</span>",
         "<tr><td>macro AUC</td><td>0.507 <span class=\"soft\">[0.447, 0.569]</span></td><td>0.544 "
         "<span class=\"soft\">[0.483, 0.608]</span></td><td></td></tr>",
         "<td class=\"right\" style=\"--share:57%\">20 <span class=\"soft\">57 %</span></td>",
         "<summary>Confusion matrix of g1</summary>", "chance 0.016 to 0.130, p&nbsp;0.068",
         "<svg class=\"lane\" height=\"44\" role=\"img\" aria-label=\"equalized odds, mean\">", "aria-label=\"conv1\"",
         "<td>rms:group 0.0985</td><td>too near chance</td>",
         "The one epoch of fine-tuning ended at a training loss of 1.390,",
         "<tr><td>layer1.0.conv1</td><td>32\u00d732</td><td>16</td><td>2\u202f304</td>",
         "<tr class=\"cut\"><td>layer4.1.conv2</td><td>4\u00d74</td><td>128 \u2192 32</td><td>147\u202f456 \u2192 "
         "11\u202f520</td>",
         "<td>memory</td><td>23.5 GiB</td>"});
}

TEST_F(Drawn, OneGapDecidesAndTheOthersAreNotCorrected) {
    ordered_json r = sample("run");
    r["test"]["tuned"] = r["test"]["dense"];
    r["test"]["tuned"]["attributes"]["group"]["primary"]["rms"] = 0.07;
    const ordered_json change = {{"verdict", "no difference of the gap was detected (p = 0.2, Holm 0.2)"}};
    r["test"]["comparison"]["attributes"]["group"]["primary"] = change;
    expect_rows(drawn(r), {"<th>the gap (eodd_rms)</th>", "<td>0.050 <span class=\"soft\">[0.020, 0.110]</span></td>",
                           "alike would show, up to 0.060 (p = 0.01, Holm 0.02)</td>",
                           "<p><b>The change: no difference of the gap was detected (p = 0.2, Holm 0.2)</b></p>",
                           "<th>also, not corrected</th>", "<b>0.070 \u2192 0.050</b><span>gap by group",
                           "balanced accuracy on test, from the dense model tuned alike", "dense, tuned alike</th>"});
}

TEST_F(Drawn, TheCommandStandsOnce) {
    const ordered_json r = sample("run");
    EXPECT_EQ(count(drawn(r), "fp_prune --device cpu"), 1u);
}

TEST_F(Drawn, OnlyLayersThatLostChannelsAreShaded) {
    const std::string page = drawn(sample("run"));
    const size_t layers = page.find("Layers before and after");
    EXPECT_EQ(count(page.substr(layers), "<tr class=\"cut\">"), 2u);  // of six
}

TEST_F(Drawn, LayersStandUnderARoofWhereOneWasMeasured) {
    ordered_json r = sample("run");
    EXPECT_THAT(drawn(r), Not(HasSubstr("of the roof")));
    r["roof"] = {{"flops", 1.5e11}, {"bytes", 2.13e10}};
    for (auto& layer : r["layers"]) layer["share_of_roof"] = {0.534, 0.411};
    r["layers"][0].erase("share_of_roof");
    expect_rows(drawn(r),
                {"<th>of the roof</th>", "150 GFLOP/s and 21.3 GB/s", "<td>53 % \u2192 41 %</td>", "<td>-</td>"});
}

TEST_F(Drawn, AMissingIntervalHasItsReason) {
    ordered_json r = sample("run");
    ordered_json& gap = r["test"]["dense"]["attributes"]["group"]["gaps"]["eopp1"];
    gap["low"] = gap["high"] = nullptr;
    gap["reason"] = "fewer than 5 lesions of a class";
    const std::string page = drawn(r);
    EXPECT_THAT(page, HasSubstr("<td>0.295<sup>1</sup><br>"));
    EXPECT_THAT(page, HasSubstr("<sup>1</sup>&nbsp;fewer than 5 lesions of a class"));
}

TEST_F(Drawn, SeveralEpochsOfTuningAreCurves) {
    ordered_json r = sample("run");
    r["curves"].push_back(r["curves"][0]);
    const std::string page = drawn(r);
    EXPECT_THAT(page, HasSubstr("aria-label=\"Fine-tuning: loss\""));
    EXPECT_THAT(page, HasSubstr("<line class=\"s1 curve\""));
    EXPECT_THAT(page, Not(HasSubstr("<polyline")));
}

TEST_F(Drawn, ASearchShowsItsFigures) {
    const std::string page = drawn(sample("search"));
    expect_rows(
        page,
        {"Figures: means over 2 tunings of one network;", "Validation: accuracy against objective",
         "Validation: accuracy against time", "</span>3. l1 20%</td><td>0.229 <span class=\"soft\">[-0.044, 0.501]",
         "<td>0.96x <span class=\"soft\">[0.78, 1.18]</span></td><td>491\u202f376</td>", "<td>dominated</td>",
         "<td>chosen</td>", "<h3>Minus random 20%, tuned alike</h3>",
         "no difference detected; beside the control's 0.297", "<td class=\"right\" style=\"--share:66%\">0.66</td>",
         "Each score over the mean magnitude of its set; the lowest are removed first."});
    // A colour per criterion, each once in the key of a chart; the controls have their own.
    const size_t begin = page.find("<figcaption><b>Validation: accuracy against objective");
    const std::string keys = page.substr(begin, page.find("</figcaption>", begin) - begin);
    for (const char* key : {"s0\">l1<", "s1\">fairprune<", "s8\">controls<"}) EXPECT_EQ(count(keys, key), 1u) << key;
    EXPECT_EQ(count(keys, "class=\"key"), 3u);
}

TEST_F(Drawn, TheFrontJoinsTheBestAndNoneNearChance) {
    ordered_json r = sample("search");
    ordered_json& points = r["sweep"]["points"];
    const double figures[][2] = {{0.1, 0.5}, {0.2, 0.6}, {0.3, 0.55}, {0.0, 0.25}};  // gap, accuracy
    for (size_t i = 0; i < 4; ++i) {
        points[i]["val"]["objective"] = {{"mean", -figures[i][0]}, {"low", nullptr}, {"high", nullptr}};
        points[i]["val"]["balanced_accuracy"] = {{"mean", figures[i][1]}, {"low", nullptr}, {"high", nullptr}};
        points[i]["latency"] = points[i]["latency_low"] = points[i]["latency_high"] = 1;
    }
    points[3]["near_chance"] = true;
    const std::string page = drawn(r);
    EXPECT_EQ(count(page, "class=\"frontier\""), 1u);  // from the first to the second, by objective
    EXPECT_THAT(page, HasSubstr("<td>too near chance</td>"));
}

TEST_F(Drawn, ATrainingShowsItsFigures) {
    expect_rows(
        drawn(sample("train")),
        {"<h1>resnet18 trained on generated images</h1>", "Stopped after 4 epochs; --resume goes on from there.",
         "<b>0.258</b><span>balanced accuracy on validation</span>", "aria-label=\"Learning rate\"",
         "aria-label=\"Equalized-odds gap on validation\"", "<line class=\"marked\"", "<tr><td>g0</td><td>60</td>",
         "2 images could not be read and were left out, the first: a.jpg",
         "<td>layer4.1.conv2</td><td>4\u00d74</td><td>128\u2192128</td><td>147\u202f456</td><td>2.36</td><td>0.61</td>",
         "<tr class=\"sum\"><td>all</td><td>183</td><td>168</td><td>1</td></tr>"});
    ordered_json r = sample("train");
    r["curves"] = ordered_json::array({r["curves"][0]});
    r["best_epoch"] = 1;
    EXPECT_THAT(drawn(r), Not(HasSubstr("<svg")));  // one epoch is numbers
    r["curves"].clear();
    r["best_epoch"] = nullptr;
    EXPECT_THAT(drawn(r), HasSubstr("No epoch has been finished."));
}

TEST_F(Drawn, AnEvaluationShowsItsFigures) {
    expect_rows(drawn(sample("evaluation")),
                {"120 of 600 images;", "1 image could not be read and was left out, the first: a.jpg",
                 "3 images of an unknown group, left out of gaps.", "<td>g2<sup>1</sup></td><td>4</td>",
                 "fewer than two groups of at least 10 images", "<img src=\"data:image/png;base64,iVBOR",
                 "class01, predicted class02 (90 %)", "No mistake."});
}

TEST_F(Drawn, CalibrationIsDrawnByGroup) {
    ordered_json r = sample("evaluation");
    const std::string page = drawn(r);
    expect_rows(page, {"<b>Reliability, model</b>", "<title>g1: 12 images, 57 % sure, 37 % right</title>",
                       "Gap in classwise ECE: model 0.052 (g1 minus g0), chance up to 0.071, p&nbsp;0.210.",
                       "<td>g1</td><td>60</td><td>0.147</td><td>0.113</td>"});
    EXPECT_EQ(count(page, "aria-label=\"Reliability"), 1u);  // no calibration is known by site
    r["other"] = r["evaluation"];
    r["names"] = {"a", "b"};
    EXPECT_EQ(count(drawn(r), "aria-label=\"Reliability"), 2u);
}

TEST_F(Drawn, SeveralTrainingsShowTheirFigures) {
    ordered_json r = sample("trainings");
    const std::string page = drawn(r);
    expect_rows(page, {"<b>4 pairs of trainings</b>", "judged on the same 812 images of 500 units",
                       "Other: b1/p.csv, b2/p.csv, b3/p.csv, b4/p.csv", "<td>accuracy, worst group</td>",
                       "<td>accuracy: male</td>", "No gaps: fewer than two groups", "was read 1 time on record",
                       "<td>&lt; 0.001</td>"});
    EXPECT_EQ(count(page, "aria-label=\"accuracy\""), 1u);
    // Alone: no change, and the shares' intervals.
    ordered_json& t = r["trainings"];
    for (auto* figures : {&t["metrics"], &t["attributes"]["sex"]["figures"]})
        for (auto& [name, figure] : figures->items()) {
            figure.erase("other");
            figure.erase("difference");
        }
    const std::string alone = drawn(r);
    expect_rows(alone, {"<b>4 trainings</b> of one method", "<th>sd of trainings</th>",
                        "0.985 <span class=\"soft\">[0.955, 1.000]</span>", "noise lifts it: only the difference"});
    EXPECT_THAT(alone, Not(HasSubstr("detectable")));
}

TEST_F(Drawn, AThresholdIsDrawn) {
    expect_rows(drawn(testing::at_a_threshold()),
                {"class01 is predicted where its probability is at least <b>0.3125</b> (f1, chosen on 60 validation "
                 "images: sensitivity 0.900, specificity 0.800, F1 0.750).",
                 "<td>all</td><td>0.800 <span class=\"soft\">[0.700, 0.900]</span></td><td>0.900 <span "
                 "class=\"soft\">[0.850, 0.950]</span></td><td>30</td>",
                 "<td>group: g0</td>", "Fairness at the threshold"});
}

TEST_F(Drawn, OfManyClassesTheMistakesAreListed) {
    ordered_json r = sample("evaluation");
    ordered_json& e = r["evaluation"];
    e.erase("confusion");
    e["confusion_cells"] = {{0, 0, 90}, {0, 1, 2}, {1, 0, 7}};
    for (int i = 0; i < 30; ++i) e["confusion_cells"].push_back({2, 3, 1});
    const std::string page = drawn(r);
    expect_rows(page,
                {"Mistakes made most often", "<td>class01</td><td>class00</td><td>7</td></tr><tr><td>class00</td>",
                 "2 kinds of mistakes more."});
    EXPECT_THAT(page, Not(HasSubstr("<td>90</td>")));
}

TEST_F(Drawn, ATimingShowsItsFigures) {
    expect_rows(drawn(sample("bench")),
                {"aria-label=\"Images per second\"", "Layers against the roof", "<td>38.0 MiB</td><td>1.00x",
                 "<td>3\u219216</td><td>32\u00d732</td>", "<td>62 %<span class=\"soft\"> [58, 70] "});
}

TEST_F(Drawn, AScanShowsItsFigures) {
    expect_rows(drawn(sample("scan")),
                {"<td class=\"wrong\" style=\"--share:100%\">-0.029</td>",
                 "<td class=\"wrong\" style=\"--share:30%\">+0.069</td>", "<h2>Balanced accuracy (dense: 0.257)</h2>",
                 "<h2>Gap by group (dense: 0.353)</h2>", "<th>10%</th><th>50%</th>",
                 "<td>layer1.1.conv2</td><td>16</td>", "<b>-0.228</b>"});
}

TEST_F(Drawn, TextOfFilesIsEscaped) {
    ordered_json r = sample("search");
    r["title"] = "a run on <data>";
    r["verdict"] = {{"summary", "<img src=x onerror=\"document.body.textContent='lost'\"> & more"},
                    {"findings", ordered_json::array()}};
    r["environment"]["processor"] = "x<y";
    r["sweep"]["rankings"]["names"][1] = "snnl<5>";
    for (const char* model : {"dense", "pruned"}) {
        ordered_json& groups = r["test"][model]["attributes"]["group"]["groups"];
        groups["<male>"] = groups["g0"];
    }
    ordered_json of_scan = sample("scan");
    of_scan["title"] = of_scan["sets"][0]["set"] = "a scan of <data>";
    const std::string page = drawn(r) + drawn(of_scan);
    for (const char* escaped : {"run on &lt;data&gt;", "&lt;img src=x", "x&lt;y", "<td>2. snnl&lt;5&gt;</td> <td class",
                                "&lt;male&gt;", "<td>a scan of &lt;data&gt;</td>"})
        EXPECT_THAT(page, HasSubstr(escaped));
    for (const char* markup : {"<male>", "on <data>", "of <data>", "x<y", "<img"})
        EXPECT_THAT(page, Not(HasSubstr(markup)));
}

TEST_F(Drawn, OnlyATestedDifferenceOfASearchHasWords) {
    ordered_json r = sample("search");
    ordered_json& gap = r["sweep"]["points"][2]["against"]["dense, tuned alike"]["gaps"]["group"];
    gap.update({{"verdict", "smaller gap"}, {"p_holm", 0.01}});
    EXPECT_THAT(drawn(r), HasSubstr("(Holm 0.010): smaller gap"));
    for (const char* key : {"p", "p_holm", "verdict"}) gap.erase(key);
    EXPECT_THAT(drawn(r), Not(HasSubstr("smaller gap")));
}

TEST_F(Drawn, ReadsOfTheTestSplitAreCounted) {
    ordered_json r = sample("search");
    const char* const split = "he test split (n=120, 01234567) was read";
    EXPECT_THAT(drawn(r), HasSubstr(std::string("<p>T") + split + " 3 times on record since 2026-11-28"));
    r["test_reads"] = {
        {"split", "0123456789abcdef"}, {"images", 120}, {"count", nullptr}, {"reason", "FAIRPRUNE_STATE=off"}};
    EXPECT_THAT(drawn(r), HasSubstr(std::string("How often t") + split + " is not on record: FAIRPRUNE_STATE=off"));
    EXPECT_THAT(drawn(r), Not(HasSubstr("read once")));
}

TEST_F(Drawn, ChartsLeaveOutWhatIsNotKnown) {
    ordered_json r = sample("search");
    r["scores"][0]["values"][0] = nullptr;
    r["test"]["dense"]["attributes"]["group"]["gaps"]["eodd_mean"]["low"] = nullptr;
    ordered_json& points = r["sweep"]["points"];
    points = {points[2], points[2], points[2]};
    points[0]["dominated"] = points[1]["dominated"] = false;
    points[1]["val"]["objective"] = {{"mean", nullptr}, {"low", nullptr}, {"high", nullptr}};
    points[2]["dominated"] = true;
    const std::string page = drawn(r);
    EXPECT_THAT(page, Not(HasSubstr("NaN")));
    const size_t begin = page.find("<svg");  // by objective
    const std::string chart = page.substr(begin, page.find("</svg>", begin) - begin);
    EXPECT_THAT(chart, HasSubstr(">1</text>"));
    EXPECT_THAT(chart, Not(HasSubstr(">2</text>")));
    EXPECT_THAT(chart, HasSubstr("hollow"));
}

TEST_F(Drawn, GroupsKeepTheirOrder) {
    ordered_json r = sample("run");
    for (const char* model : {"dense", "pruned"}) {
        ordered_json& groups = r["test"][model]["attributes"]["group"]["groups"];
        const ordered_json figures = groups["g0"];
        groups.clear();
        for (const char* name : {"unknown", "10", "9"}) groups[name] = figures;
    }
    const std::string page = drawn(r);
    const size_t first = page.find("<td>unknown</td>"), second = page.find("10</td>"), third = page.find("9</td>");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, page.npos);
}

TEST_F(Drawn, ExactTiesAreRoundedToEven) {
    ordered_json r = sample("run");
    r["test"]["dense"]["accuracy"] = {{"value", 0.0625}, {"low", 0.1875}, {"high", 0.9375}};
    EXPECT_THAT(drawn(r), HasSubstr("<td>0.062 <span class=\"soft\">[0.188, 0.938]</span></td>"));
}

TEST_F(Drawn, SaysThatItCannotDrawADocument) {
    ordered_json r = sample("run");
    r.erase("layers");
    EXPECT_THAT(drawn(r), HasSubstr("This page could not be drawn"));
}

TEST(ModelCard, SaysWhoWasJudged) {
    const auto measure = [](const char* key) {
        return Measure{.key = key, .formula = {}, .value = 0.7, .low = 0.6, .high = 0.8};
    };
    Report pruned;
    pruned.samples = 100;
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "ece"})
        pruned.metrics.push_back(measure(key));
    pruned.metrics[3] = {.key = "macro_auc", .reason = "no probabilities"};
    AttributeReport& sex = pruned.attributes.emplace_back();
    sex.name = "sex";
    for (const char* name : {"female", "<male>"}) {
        GroupReport& group = sex.groups.emplace_back();
        group.name = name;
        group.samples = 50;
        group.metrics = {measure("accuracy"), measure("macro_f1")};
    }
    sex.gaps.emplace_back();
    sex.primary.rms = 0.05;
    sex.primary.p = 0.4;
    sex.primary.verdict = "within its range";
    const std::string card = evaluation_card(pruned);
    EXPECT_THAT(card, HasSubstr("On 100 test images"));
    EXPECT_THAT(card, HasSubstr("| macro_auc | n/a |"));
    EXPECT_THAT(card, HasSubstr("| female | 50 | 0.700 [0.600, 0.800] |"));
    EXPECT_THAT(card, HasSubstr("Equalized-odds gap (eodd_rms): 0.050, within its range.\n"));
    EXPECT_THAT(card, HasSubstr("\\<male\\>"));
}

TEST(ModelCard, FindingsAreGroupedByAttributeAndFoldedBeyondFive) {
    Verdict v{.summary = "Fell: accuracy.", .findings = {{.kind = FindingKind::fell, .text = "accuracy fell"}}};
    for (int i = 1; i <= 7; ++i)
        v.findings.push_back({.kind = FindingKind::gap, .attribute = "sex", .text = text("gap ", i)});
    v.findings.push_back({.kind = FindingKind::at_chance, .text = "at chance"});
    EXPECT_EQ(verdict_card(v),
              "\n## Verdict\n\nFell: accuracy.\n\n### Overall\n\n- accuracy fell\n\n### Findings by "
              "sex\n\n- gap 1\n- gap 2\n- gap 3\n- gap 4\n- gap 5\n\n<details><summary>2 more</summary>\n\n- gap 6\n- "
              "gap 7\n\n</details>\n");
}

TEST(ModelCard, TextOfFilesIsNoMarkdown) { EXPECT_EQ(markdown_text("a|b\n`c`"), "a\\|b \\`c\\`"); }

}  // namespace
}  // namespace fp
