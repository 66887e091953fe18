#include "engine/io/tensorboard.h"

#include <gtest/gtest.h>

#include <cstring>

namespace fp {
namespace {

template <class T>
T at(const std::string& bytes, size_t place) {
    T value;
    std::memcpy(&value, bytes.data() + place, sizeof value);
    return value;
}

TEST(Events, checksums_are_those_of_the_standard) {  // RFC 3720, B.4
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
    EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
    EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

// The bytes as TensorBoard's own writer lays them, by hand.
TEST(Events, a_scalar_is_a_frame_around_an_event) {
    const std::string got = scalar_event(2.5, 300, {{"val/acc", 0.75}});
    std::string event("\x09", 1);  // wall_time, 8 bytes
    const double time = 2.5;
    event.append(reinterpret_cast<const char*>(&time), 8);
    event += "\x10\xac\x02";  // step 300
    event += "\x2a\x10";      // summary of 16 bytes
    event += "\x0a\x0e";      // a value of 14 bytes
    event +=
        "\x0a\x07"
        "val/acc";    // its tag
    event += "\x15";  // simple_value
    const float value = 0.75f;
    event.append(reinterpret_cast<const char*>(&value), 4);
    ASSERT_EQ(got.size(), 8 + 4 + event.size() + 4);
    EXPECT_EQ(at<uint64_t>(got, 0), event.size());
    EXPECT_EQ(got.substr(12, event.size()), event);
    const uint32_t sum = crc32c(event);
    EXPECT_EQ(at<uint32_t>(got, 12 + event.size()), ((sum >> 15) | (sum << 17)) + 0xa282ead8u);
}

TEST(Events, a_file_starts_with_its_version) {
    EXPECT_NE(event_file_header(1).find("brain.Event:2"), std::string::npos);
}

}  // namespace
}  // namespace fp
