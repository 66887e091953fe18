#include "engine/io/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;

template <class... Parts>
void expect_refused(const std::string& text, const Parts&... parts) {
    expect_error(
        Exit::data, [&] { parse_json(text, "a.json", Exit::data); }, "a.json: ", parts...);
}

TEST(Json, order_and_values_are_kept) {
    EXPECT_EQ(json_line(parse_json(R"( {"b": [1, 2.5, {"a": null}], "a": {"b": true}} )", "a", Exit::data)),
              R"({"b":[1,2.5,{"a":null}],"a":{"b":true}})");
}

TEST(Json, what_the_library_lets_pass_is_refused) {
    expect_refused(R"({"a":1,"a":1})", "key a twice");
    expect_refused(R"({"x":[{"a":1},{"b":{},"c":1,"b":2}]})", "key b twice");
    expect_refused(std::string("{}\0", 3), "NUL");
    expect_refused(std::string(100'000, '['), "deeper than 32");
    expect_refused(R"({"a":})", "not JSON");
    expect_refused("", "not JSON");
    expect_refused("{} {}", "not JSON");
    expect_error(
        Exit::model, [] { parse_json("[1,2]", "a", Exit::model, {.bytes = 4}); }, "5 bytes", "4");
    EXPECT_NO_THROW(parse_json(std::string(32, '[') + std::string(32, ']'), "a", Exit::data));
}

TEST(Json, a_line_is_always_written) {
    EXPECT_EQ(json_line({{"a", "\xff\n"}, {"b", std::nan("")}}), "{\"a\":\"\xEF\xBF\xBD\\n\",\"b\":null}");
}

TEST(Json, DocumentsReplaceBytesThatAreNotUtf8) {
    const nlohmann::ordered_json out{{"out", "run\xff"}};
    EXPECT_EQ(json_text(out, 1), "{\n \"out\": \"run\xEF\xBF\xBD\"\n}\n");
    EXPECT_EQ(json_line(out), "{\"out\":\"run\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace fp
