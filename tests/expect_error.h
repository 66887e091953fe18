#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "kernels/error.h"

namespace fp::testing {

// `run` must throw an Error with this exit code whose text contains each of the parts.
template <class Run, class... Parts>
void expect_error(Exit exit, const Run& run, const Parts&... parts) {
    try {
        run();
        FAIL() << "no Error thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.exit, exit) << error.what();
        for (const std::string& part : std::initializer_list<std::string>{parts...})
            EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
        EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
    }
}

}  // namespace fp::testing
