// A comparison in brief: what decides, what is largest, and how much is left out.
#include <gmock/gmock.h>

#include <sstream>

#include "engine/report/evaluation.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kWhole = "--full prints all";
const std::vector<std::string> kAttributes{"sex", "age", "tone", "site"};

// 600 images of four classes and four attributes of 2 to 5 groups; the first model is worse for one group of each.
struct Two {
    Predictions ours, other;

    explicit Two(int attributes) {
        Predictions& p = ours;
        for (const char* name : {"nevus", "melanoma", "keratosis", "carcinoma"}) p.classes.push_back(name);
        p.columns = {kAttributes.begin(), kAttributes.begin() + attributes};
        p.attributes.resize(p.columns.size());
        for (int i = 0; i < 600; ++i) {
            p.image.push_back(std::to_string(i));
            p.unit.push_back(p.image.back());
            p.split.emplace_back("test");
            p.label.push_back(i % 4);
            const bool first = i / 4 % 3 == 0;
            p.pred.push_back(i % 7 < (first ? 3 : 5) ? i % 4 : (i / 4) % 4);
            for (int c = 0; c < 4; ++c) p.prob.push_back(c == p.pred.back() ? .4 : .2);
            for (int a = 0; a < attributes; ++a)
                p.attributes[size_t(a)].push_back("g" + std::to_string(first ? 0 : 1 + i % (a + 1)));
        }
        other = p;
        other.pred = p.label;
        for (int i = 0; i < 600; i += 9) other.pred[size_t(i)] = (i / 9) % 4;
    }

    Evaluation judged(int resamples = 200) const {
        return evaluation_of(ours, &other, ours.columns, {.resamples = resamples});
    }
};

TEST(ComparisonText, FourAttributesTakeSixtyLinesAndSayWhatIsLeftOut) {
    const Evaluation e = Two(4).judged();
    const std::string brief = brief_text(e, kWhole), full = to_text(e);
    const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
    EXPECT_LE(lines(brief), 60) << brief;
    EXPECT_GT(lines(full), 300);
    EXPECT_THAT(brief, HasSubstr("The whole text has " + std::to_string(lines(full)) + " lines"));
    EXPECT_THAT(brief, HasSubstr(kWhole));
    std::istringstream in(brief);
    for (std::string line; std::getline(in, line);) EXPECT_LE(columns_of(line), kLine) << line;
    for (const std::string& attribute : kAttributes) EXPECT_THAT(brief, HasSubstr("\n" + attribute + "  "));
    for (const char* key :
         {"\naccuracy", "\nbalanced_accuracy", "\nmacro_f1", "\nmacro_auc", "4 classes", "200 resamples"})
        EXPECT_THAT(brief, HasSubstr(key));
    EXPECT_THAT(brief, HasSubstr(e.verdict.summary.substr(0, 40)));
}

// Those that lie furthest beyond their fair ranges, the furthest first.
TEST(ComparisonText, TheLargestGapsComeFirst) {
    const Evaluation e = Two(2).judged();
    double most = 0;
    std::string key;
    for (const AttributeReport& a : e.report.attributes)
        for (const Gap& g : a.gaps)
            if (const double beyond = g.fair == 1 ? g.fair_low - g.value : g.value - g.fair_high; beyond > most)
                most = beyond, key = a.name + " " + g.key;
    const std::string brief = brief_text(e, kWhole);
    const size_t table = brief.find("furthest beyond fair");
    ASSERT_NE(table, brief.npos);
    const size_t line = brief.find('\n', table) + 1;
    EXPECT_EQ(brief.substr(line, key.size() + 1), key + " ");
    EXPECT_THAT(brief.substr(line), ::testing::ContainsRegex("and [0-9]+ more gaps, in the JSON"));
}

TEST(ComparisonText, WithoutAttributesAndResamplesThereAreMetricsAlone) {
    const std::string brief = brief_text(Two(0).judged(0), kWhole);
    EXPECT_THAT(brief, HasSubstr("\naccuracy"));
    EXPECT_THAT(brief, Not(HasSubstr("eodd")));
    EXPECT_THAT(brief, HasSubstr("The whole text has "));
}

// Without fair ranges those that lie furthest from their fair value, 0 or 1.
TEST(ComparisonText, RatiosNearOneAreNoLargeGaps) {
    const Evaluation e = Two(1).judged(0);
    double most = 0;
    std::string key;
    for (const Gap& g : e.report.attributes.at(0).gaps)
        if (std::abs(g.value - g.fair) > most) most = std::abs(g.value - g.fair), key = "sex " + g.key;
    const std::string brief = brief_text(e, kWhole);
    EXPECT_THAT(brief.substr(brief.find("furthest beyond fair")), ::testing::ContainsRegex("^[^\n]*\n" + key + " "));
}

}  // namespace
}  // namespace fp
