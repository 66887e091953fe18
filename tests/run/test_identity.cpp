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

}  // namespace
}  // namespace fp
