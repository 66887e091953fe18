// What a page says beside its figures: which models, which part of the data, what an objective means.
#include "tests/report/drawn.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using testing::count;
using testing::Drawn;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::sample;

TEST_F(Drawn, AComparisonShowsBothModelsByName) {
    ordered_json r = sample("evaluation");
    r["other"] = sample("evaluation")["evaluation"];
    r["other"]["accuracy"]["value"] = 0.123;
    r["names"] = {"runs/a.safetensors", "b.csv"};
    r["evaluation"]["judged"]["split"] = "clinic 2";
    EXPECT_THAT(drawn(r), AllOf(HasSubstr("Model: <b>b.csv</b>; other: <b>runs/a.safetensors</b>"),
                                HasSubstr("<th>other</th><th>model</th>"), HasSubstr("<td>accuracy</td><td>0.123"),
                                HasSubstr("Split clinic 2: 120 of 600 images;"), Not(HasSubstr("could not be drawn"))));
}

TEST_F(Drawn, FindingsAreListedByAttributeAndFoldedBeyondFive) {
    ordered_json r = sample("evaluation");
    ordered_json findings = {{{"kind", "fell"}, {"text", "accuracy fell"}},
                             {{"kind", "at_chance"}, {"text", "it stands above"}}};
    for (int i = 1; i <= 7; ++i) findings.push_back({{"kind", "gap"}, {"attribute", "sex"}, {"text", text("gap ", i)}});
    r["evaluation"]["verdict"] = {{"summary", "In short."}, {"findings", findings}};
    EXPECT_THAT(drawn(r), AllOf(HasSubstr("<h3>Overall</h3><ul><li>accuracy fell</li></ul>"),
                                HasSubstr("<h3>By sex</h3><ul><li>gap 1</li>"),
                                HasSubstr("<li>gap 5</li></ul><details><summary>2 more</summary><ul><li>gap 6</li>"),
                                Not(HasSubstr("it stands above"))));
}

TEST_F(Drawn, AnObjectiveOfAnRmsIsShownAsOneOfWhichLessIsBetter) {
    ordered_json r = sample("search");
    const std::string page = drawn(r);
    EXPECT_THAT(page, AllOf(HasSubstr("<th>rms:group (less is better)</th>"), HasSubstr("<td>smaller than noise "),
                            HasSubstr("of this objective, less is better"), Not(HasSubstr("-0.1201"))));
    EXPECT_THAT(page, HasSubstr("<td>0.3466 <span class=\"soft\">[0.0000, 1.0326]</span></td>"));  // of -0.1201
    r["rounds"][0]["objective"] = {{"by", "balanced_accuracy"}, {"value", 0.5}};
    EXPECT_THAT(drawn(r), AllOf(HasSubstr("balanced_accuracy 0.5000"), HasSubstr("of this objective, more is better")));
}

TEST_F(Drawn, TheChoiceOfASearchIsSetBesideItsControl) {
    EXPECT_THAT(drawn(sample("search")),
                AllOf(HasSubstr("the choice, l1 20%, differs by -0.011 "),
                      HasSubstr("of the gap by group: -0.2380 <span class=\"soft\">[-2.0789, 1.6029]</span>, p "),
                      HasSubstr("no difference detected; beside the control's 0.297, a gap of 0.000 to 1.000 is not "
                                "excluded; no fall could"),
                      HasSubstr("2 tests of 2 tunings of one network, not of trainings")));
}

// A list of ticks has two or more, and no two are alike.
TEST_F(Drawn, TicksDiffer) {
    for (const double far : {0.01, 0.1001, 0.10001, 1.00005, 123456.5}) {
        ordered_json r = sample("train");
        for (size_t i = 0; i < r["curves"].size(); ++i)
            r["curves"][i]["train"]["lr"] = far == 0.01 ? 2e-4 + 1e-5 * double(i) : far + 1e-6 * double(i);
        const std::string page = drawn(r);
        const size_t begin = page.find("aria-label=\"Learning rate\"");
        ASSERT_NE(begin, page.npos);
        const std::string chart = page.substr(begin, page.find("</svg>", begin) - begin);
        std::vector<std::string> ticks;
        for (size_t at = 0; (at = chart.find("text-anchor=\"end\">", at)) != chart.npos;) {
            at = chart.find('>', at) + 1;
            ticks.push_back(chart.substr(at, chart.find('<', at) - at));
        }
        EXPECT_GE(ticks.size(), 2u) << far;
        std::ranges::sort(ticks);
        EXPECT_EQ(std::ranges::adjacent_find(ticks), ticks.end()) << far << " " << ticks.front();
    }
}

}  // namespace
}  // namespace fp
