// What a scan is asked for and how it is shown; that a point equals the prune it stands for is in tests/end_to_end/commands.
#include "tools/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/expect_error.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
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
ordered_json report() {
    const auto difference = [](double change, double p) -> ordered_json {
        return {{"value", 0.6 + change}, {"change", change}, {"p", p}, {"p_holm", p}};
    };
    ordered_json points = ordered_json::array();
    for (const double p : {0.001, 0.4}) {
        points.push_back({{"share", "10%"}, {"removed", 3}, {"parameters", 10}, {"macs", 20}});
        points.back()["balanced_accuracy"] = difference(-0.125, p);
        points.back()["gap"] = difference(0.0625, p);
    }
    points.push_back({{"share", "75%"}, {"reason", "at its minimum"}});
    const ordered_json set{
        {"set", "a.name.longer.than.its.column.conv2"}, {"channels", 32}, {"points", points}};
    ordered_json out{{"attribute", "sex"}, {"gap", "eodd_mean"}};
    out["dense"] = {{"balanced_accuracy", 0.6}, {"gap", 0.2}};
    out["shares"] = {"10%", "12.5%", "75%"};
    out["sets"] = ordered_json::array({set});
    return out;
}

TEST(Scan, TablesMarkWhatIsMoreThanNoise) {
    const std::string text = scan_text(report());
    EXPECT_THAT(text, HasSubstr("-0.125*   -0.125         -"));
    EXPECT_THAT(text, HasSubstr("+0.062*   +0.062"));
    EXPECT_THAT(text, HasSubstr("eodd_mean by sex of 0.200"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 80u) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
    }
}

TEST(Scan, ACsvHasARowAPointAndEmptyFieldsForWhatIsNotThere) {
    const std::string csv = scan_csv(report());
    EXPECT_THAT(csv, HasSubstr("conv2,32,10%,3,10,20,0.475,0.001,0.6625,0.001\n"));
    EXPECT_THAT(csv, HasSubstr("conv2,32,75%,,,,,,,\n"));
}

TEST(Scan, WithoutAnAttributeThereIsNoGap) {
    ordered_json plain = report();
    plain["dense"].erase("gap");
    EXPECT_THAT(scan_text(plain), Not(HasSubstr("by sex")));
}

}  // namespace
}  // namespace fp
