#include "engine/run/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fp {
namespace {

TEST(Identity, NamesWhatDiffersBetweenDataSets) {
    const auto settings = [](const std::string& image) {
        return identity_of({.classes = {"x"}, .samples = {{.image = image}}}, {}).settings;
    };
    EXPECT_THAT(difference(settings("a"), settings("b")),
                ::testing::StartsWith("the hash of images, classes and splits was "));
    EXPECT_EQ(difference(settings("a"), settings("a")), "");
}

TEST(Identity, AnotherNumberOfRanksIsNotedOnlyWhereItIsAsked) {
    const auto differences = [](const Identity& saved, const Identity& now) {
        const Identity listed = as_listed(saved, now);
        return std::pair{difference(listed.settings, now.settings), difference(listed.noted, now.noted)};
    };
    const Identity none{.settings = {{"--lr", "1"}}};
    const auto ranks = [&](int n, bool any) {
        Identity out = none;
        out.add(identity_of_ranks(n, any));
        return out;
    };
    const std::pair<std::string, std::string> same;
    for (const bool before : {false, true})
        for (const bool any : {false, true}) EXPECT_EQ(differences(ranks(2, before), ranks(2, any)), same);
    EXPECT_THAT(differences(ranks(2, true), ranks(3, false)).first,
                ::testing::AllOf(::testing::StartsWith("the number of ranks"), ::testing::EndsWith(" was 2, is 3")));
    const auto [refused, noted] = differences(ranks(2, false), ranks(3, true));
    EXPECT_EQ(refused, "");
    EXPECT_THAT(noted, ::testing::EndsWith(" was 2, is 3"));
    // What was saved without a number is of one rank.
    EXPECT_EQ(differences(none, ranks(1, false)), same);
    EXPECT_THAT(differences(none, ranks(2, false)).first, ::testing::EndsWith(" was 1, is 2"));
}

}  // namespace
}  // namespace fp
