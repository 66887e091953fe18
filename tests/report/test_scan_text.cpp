// The options of a scan and its text; tests/end_to_end/commands checks that a point equals the prune it stands for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "engine/report/prune_report.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

TEST(Scan, SharesAreAList) {
    const std::vector<Amount> shares = parse_shares("10%,2.5%,75%");
    ASSERT_EQ(shares.size(), 3u);
    EXPECT_EQ(shares[1].kind, Amount::Kind::share);
    EXPECT_DOUBLE_EQ(shares[1].value, 0.025);
    for (const char* wrong : {"5", "10%,", "", "macs:60%", "10%;20%", "0%", "1%,2%,3%,4%,5%,6%"})
        expect_error(
            Exit::usage, [&] { parse_shares(wrong); }, "");
}

// A set with one point that changed beyond noise, one that did not, one that was not possible.
ScanResult result() {
    const auto figure = [](double change, double p) {
        return ScanFigure{.value = 0.6 + change, .change = change, .p = p, .p_holm = p};
    };
    ScannedSet set{.set = "a.name.longer.than.its.column.conv2", .channels = 32};
    for (const double p : {0.001, 0.4})
        set.points.push_back({.share = "10%",
                              .removed = 3,
                              .parameters = 10,
                              .macs = 20,
                              .balanced_accuracy = figure(-0.125, p),
                              .gap = figure(0.0625, p)});
    set.points.push_back({.share = "75%", .reason = "at its minimum"});
    return {.criterion = "snnl",
            .attribute = "sex",
            .dense_accuracy = 0.6,
            .dense_gap = 0.2,
            .shares = {"10%", "12.5%", "75%"},
            .sets = {set}};
}

TEST(Scan, TablesMarkWhatIsMoreThanNoise) {
    const std::string text = to_text(result());
    EXPECT_THAT(text, HasSubstr("-0.125*   -0.125         -"));
    EXPECT_THAT(text, HasSubstr("+0.062*   +0.062"));
    EXPECT_THAT(text, HasSubstr("eodd_rms by sex of 0.200"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 80u) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
    }
}

TEST(Scan, ACsvHasARowAPointAndEmptyFieldsForWhatIsNotThere) {
    const std::string csv = to_csv(result());
    EXPECT_THAT(csv, HasSubstr("conv2,32,10%,3,10,20.0,0.475,0.001,0.6625,0.001\n"));
    EXPECT_THAT(csv, HasSubstr("conv2,32,75%,,,,,,,\n"));
}

TEST(Scan, WithoutAnAttributeThereIsNoGap) {
    ScanResult plain = result();
    plain.dense_gap.reset();
    EXPECT_THAT(to_text(plain), Not(HasSubstr("by sex")));
}

TEST(Scan, AccuracyAndGapAreCorrectedAsAFamilyEach) {
    std::vector<ScannedSet> sets = result().sets;
    correct_for_many(sets);
    EXPECT_DOUBLE_EQ(sets[0].points[0].gap->p_holm, 0.002);  // two points have figures
    EXPECT_DOUBLE_EQ(sets[0].points[1].balanced_accuracy->p_holm, 0.4);
}

}  // namespace
}  // namespace fp
