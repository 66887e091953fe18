#include "engine/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "engine/io/safetensors_parts.h"
#include "tests/expect_error.h"
#include "tests/source_dir.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

const std::filesystem::path kFixtures = source_dir() / "tests/io/fixtures";

// A file with this header (as it stands, unpadded) and so many bytes of data.
Bytes file_of(const std::string& header, size_t data_bytes, uint64_t announced) {
    Bytes bytes(8 + header.size() + data_bytes, std::byte{1});
    std::memcpy(bytes.data(), &announced, 8);
    std::memcpy(bytes.data() + 8, header.data(), header.size());
    return bytes;
}
Bytes file_of(const std::string& header, size_t data_bytes = 0) { return file_of(header, data_bytes, header.size()); }

TensorFile parse(const Bytes& bytes, const SafetensorsLimits& limits = {}) {
    return parse_safetensors(bytes, "m.safetensors", limits);
}

template <class... Parts>
void expect_refused(const Bytes& bytes, const Parts&... parts) {
    expect_error(
        Exit::model, [&] { parse(bytes); }, "m.safetensors: ", parts...);
}

std::string one(const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
    return R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

TensorFile small_model() {
    const std::vector<float> w{1.5f, -0.0f, std::nanf(""), 3e38f, 1e-45f, 7};
    const std::vector<int64_t> steps{-5};
    const std::vector<double> score{1.0 / 3, 2};
    const std::vector<uint8_t> mask{1, 0, 255};
    return {
        .metadata = {{"format", "pt"}, {"fairprune", R"({"a":"\"é\""})"}},
        .tensors = {tensor_of<double>("z.score", {2}, score), tensor_of<int64_t>("bn1.num_batches_tracked", {}, steps),
                    tensor_of<float>("conv1.weight", {3, 2, 1, 1}, w), tensor_of<float>("nothing", {0, 4}, {}),
                    tensor_of<uint8_t>("mask", {3}, mask)}};
}

TEST(Safetensors, parts_are_the_tensors_of_the_whole_file_one_by_one) {
    const TemporaryFolder folder;
    write_safetensors(folder / "a.safetensors", small_model());
    const TensorFile whole = read_safetensors(folder / "a.safetensors");
    const SafetensorsParts parts(folder / "a.safetensors");
    TensorFile joined{.metadata = parts.header().metadata};
    parts.for_each([&](const TensorEntry& t) { joined.tensors.push_back(t); });
    EXPECT_EQ(joined, whole);
    ASSERT_EQ(parts.header().tensors.size(), whole.tensors.size());
    for (size_t i = 0; i < whole.tensors.size(); ++i) {
        EXPECT_EQ(parts.header().tensors[i].shape, whole.tensors[i].shape);
        EXPECT_TRUE(parts.header().tensors[i].data.empty());
    }
}

TEST(Safetensors, what_is_written_is_read_and_gives_the_same_bytes_again) {
    const TemporaryFolder folder;
    const TensorFile model = small_model();
    write_safetensors(folder / "a.safetensors", model);
    const TensorFile back = read_safetensors(folder / "a.safetensors");
    EXPECT_EQ(back.metadata, model.metadata);
    ASSERT_EQ(back.tensors.size(), model.tensors.size());
    for (const TensorEntry& t : model.tensors) {
        ASSERT_NE(back.find(t.name), nullptr) << t.name;
        EXPECT_EQ(*back.find(t.name), t);
    }
    EXPECT_EQ(back.find("conv2.weight"), nullptr);

    write_safetensors(folder / "b.safetensors", back);
    EXPECT_EQ(read_file(folder / "a.safetensors", 1 << 20), read_file(folder / "b.safetensors", 1 << 20));
    const std::string bytes = read_file(folder / "a.safetensors", 1 << 20);
    EXPECT_TRUE(std::ranges::equal(as_bytes(bytes), safetensors_bytes(model)));
}

TEST(Safetensors, tensors_are_aligned_and_sorted_by_width_then_name) {
    const Bytes bytes = safetensors_bytes(small_model());
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    EXPECT_EQ((8 + header) % 8, 0u);
    const TensorFile back = parse(bytes);
    std::vector<std::string> names;
    for (const TensorEntry& t : back.tensors) names.push_back(t.name);
    EXPECT_EQ(names,
              (std::vector<std::string>{"bn1.num_batches_tracked", "z.score", "conv1.weight", "nothing", "mask"}));
}

TEST(Safetensors, files_without_tensors_are_legal) {
    EXPECT_EQ(parse(file_of("{}")), TensorFile{});
    EXPECT_EQ(parse(file_of("{}      ")), TensorFile{});
    const TensorFile only_words{.metadata = {{"a", "b"}}};
    EXPECT_EQ(parse(safetensors_bytes(only_words)), only_words);
    EXPECT_EQ(parse(safetensors_bytes({})), TensorFile{});
}

TEST(Safetensors, what_python_wrote_gives_the_same_bytes_from_us) {
    const TensorFile file = read_safetensors(kFixtures / "written.safetensors");
    EXPECT_EQ(file.metadata.at("format"), "pt");
    EXPECT_EQ(values_of<int64_t>(*file.find("bn1.num_batches_tracked")), std::vector<int64_t>{12});
    EXPECT_EQ(file.find("conv1.weight")->shape, (std::vector<int64_t>{2, 3, 1, 1}));
    ASSERT_NE(file.find("odd \"name\" é"), nullptr);
    const std::string theirs = read_file(kFixtures / "written.safetensors", 1 << 20);
    EXPECT_TRUE(std::ranges::equal(as_bytes(theirs), safetensors_bytes(file)));
}

TEST(Safetensors, every_dtype_that_python_writes) {
    const TensorFile file = read_safetensors(kFixtures / "dtypes.safetensors");
    EXPECT_EQ(values_of<double>(*file.find("f64")), (std::vector<double>{1.0 / 3, -2.5}));
    EXPECT_EQ(values_of<int64_t>(*file.find("i64")), (std::vector<int64_t>{-(int64_t(1) << 40)}));
    EXPECT_EQ(values_of<int32_t>(*file.find("i32")), (std::vector<int32_t>{1, -2, 3}));
    EXPECT_EQ(values_of<uint8_t>(*file.find("u8")), (std::vector<uint8_t>{0, 255}));
    EXPECT_EQ(file.find("bool")->data, (Bytes{std::byte{1}, std::byte{0}}));
    EXPECT_TRUE(file.find("empty")->data.empty());
    EXPECT_EQ(file.find("empty")->shape, (std::vector<int64_t>{0, 7}));

    EXPECT_EQ(as_f32(*file.find("f64")), (std::vector<float>{1.0f / 3, -2.5f}));
    const auto f32 = as_f32(*file.find("f32"));
    EXPECT_TRUE(std::isnan(f32[0]));
    EXPECT_TRUE(std::signbit(f32[1]));
    const float inf = std::numeric_limits<float>::infinity();
    EXPECT_EQ(as_f32(*file.find("f16")), (std::vector<float>{1.5f, -2.25f, 65504, 0x1p-24f, inf, -168 * 0x1p-24f}));
    const auto bf16 = as_f32(*file.find("bf16"));
    EXPECT_EQ(bf16[0], 1.5f);
    EXPECT_EQ(bf16[1], -2.25f);
    EXPECT_NEAR(bf16[2] / 1e30f, 1, 1e-2);
    expect_error(
        Exit::model, [&] { as_f32(*file.find("i64")); }, "i64", "I64");
    expect_error(
        Exit::model, [&] { values_of<float>(*file.find("f64")); }, "F64", "F32");
}

// The other way round: the reference implementation reads what we wrote. FP_PYTHON names a Python that
// has the package; `python3` where it is unset.
TEST(Safetensors, python_reads_what_we_write) {
    const char* given = std::getenv("FP_PYTHON");
    const std::string python = given ? given : "python3";
    if (std::system((python + " -c 'import safetensors.numpy' 2>/dev/null").c_str()) != 0)
        GTEST_SKIP() << python << " has no module safetensors: its reader is not compared";
    const TemporaryFolder folder;
    write_safetensors(folder / "a.safetensors", small_model());
    const std::string program =
        "import sys, safetensors\n"
        "with safetensors.safe_open(sys.argv[1], \"np\") as f:\n"
        "    assert f.metadata()[\"format\"] == \"pt\"\n"
        "    assert len(list(f.keys())) == 5\n"
        "    assert f.get_tensor(\"conv1.weight\").shape == (3, 2, 1, 1)\n"
        "    assert f.get_tensor(\"conv1.weight\").ravel()[5] == 7\n"
        "    assert f.get_tensor(\"bn1.num_batches_tracked\") == -5\n"
        "    assert f.get_tensor(\"nothing\").shape == (0, 4)\n"
        "    assert f.get_tensor(\"mask\").tolist() == [1, 0, 255]\n";
    EXPECT_EQ(std::system((python + " -c '" + program + "' " + (folder / "a.safetensors").string()).c_str()), 0);
}

TEST(Safetensors, a_header_that_does_not_fit_is_refused) {
    expect_refused({}, "0 bytes");
    expect_refused(Bytes(7), "7 bytes");
    expect_refused(file_of("{}", 0, 3), "3 bytes", "10");
    expect_refused(file_of("{}", 0, ~uint64_t(0)), "18446744073709551615");
    expect_refused(file_of("{}", 0, 0), "does not start with {");
    const Bytes large = file_of("{" + std::string(100, ' ') + "}");
    expect_error(
        Exit::model, [&] { parse(large, {.header_bytes = 50}); }, "102 bytes", "50");
}

TEST(Safetensors, a_header_that_is_not_our_json_is_refused) {
    expect_refused(file_of("[]"), "does not start with {");
    expect_refused(file_of(" {}"), "does not start with {");
    expect_refused(file_of("\xEF\xBB\xBF{}"), "does not start with {");
    expect_refused(file_of("{}\n"), "ends in something other");
    expect_refused(file_of("{}{}"), "not JSON");
    expect_refused(file_of(std::string("{}\0\0}", 5)), "NUL");
    expect_refused(file_of("{\"x\":}"), "not JSON");
    expect_refused(file_of("{\"x\xff\":{}}"), "not JSON");
    expect_refused(file_of("{/**/}"), "not JSON");
    expect_refused(file_of("{\"x\":{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}}"),
                   "nested deeper than 4");
    expect_refused(file_of("{\"x\":3}"), "x: is number");
    expect_refused(file_of("{\"x\":null}"), "x: is null");
    expect_refused(file_of("{\"x\":[]}"), "x: is array");
    expect_refused(file_of("{\"x\":{}}"), "no dtype");
    expect_refused(file_of("{\"x\\n\":{}}"), "x\\x0a", "control");
    expect_refused(file_of("{\"" + std::string(513, 'x') + "\":{}}"), "513 bytes");
}

TEST(Safetensors, duplicates_are_refused) {
    const std::string x = R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
    expect_refused(file_of("{" + x + "," + x + "}", 1), "key x twice");
    expect_refused(file_of(R"({"__metadata__":{},"__metadata__":{}})"), "twice");
    expect_refused(file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), "key a twice");
    expect_refused(file_of(R"({"x":{"dtype":"U8","dtype":"U8"}})"), "key dtype twice");
    expect_refused(file_of(R"({"x":{"shape":[],"shape":[]}})"), "key shape twice");
    expect_refused(file_of(R"({"x":{"data_offsets":[0,1],"data_offsets":[0,1]}})"), "key data_offsets twice");
}

TEST(Safetensors, metadata_is_strings_only) {
    expect_refused(file_of(R"({"__metadata__":{"a":1}})"), "a", "only strings");
    expect_refused(file_of(R"({"__metadata__":{"a":{}}})"), "only strings");
    expect_refused(file_of(R"({"__metadata__":[]})"), "array");
}

TEST(Safetensors, numbers_are_integers_that_fit) {
    for (const char* bad : {"[1.0]", "[-1]", "[1e0]", "[18446744073709551616]", "[true]", "[null]", "[[1]]", "[\"1\"]",
                            "[9223372036854775808]", "1", "[-0]"})
        expect_refused(file_of(one(bad, "[0,4]"), 4), "x");
    for (const char* bad : {"[0]", "[]", "[0,4,4]", "[0,4.0]", "[-1,3]", "4", "[0,18446744073709551616]"})
        expect_refused(file_of(one("[1]", bad), 4), "x");
}

TEST(Safetensors, sizes_are_checked_before_anything_is_allocated) {
    expect_refused(file_of(one("[4294967296,4294967296]", "[0,4]"), 4), "does not fit");
    expect_refused(file_of(one("[4611686018427387904]", "[0,0]")), "does not fit");
    expect_refused(file_of(one("[1]", "[0,18446744073709551615]"), 4), "18446744073709551615", "4 bytes");
    expect_refused(file_of(one("[1]", "[4,0]"), 4), "4 to 0");
    expect_refused(file_of(one("[2]", "[0,4]"), 4), "needs 8");
    expect_refused(file_of(one("[1]", "[0,4]", "F8_E4M3"), 4), "F8_E4M3");
    EXPECT_EQ(parse(file_of(one("[]", "[0,4]"), 4)).tensors[0].shape, std::vector<int64_t>{});
}

std::string two(const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}";
}

TEST(Safetensors, holes_overlaps_and_what_follows_are_refused) {
    EXPECT_EQ(parse(file_of(two("[2,4]", "[0,2]"), 4)).tensors[0].name, "b");
    expect_refused(file_of(two("[0,2]", "[1,3]"), 3), "b: begins at 1", "ends at 2");
    expect_refused(file_of(two("[0,2]", "[0,2]"), 2), "begins at 0");
    expect_refused(file_of(two("[0,2]", "[3,5]"), 5), "b: begins at 3");
    expect_refused(file_of(two("[1,3]", "[3,5]"), 5), "a: begins at 1");
    expect_refused(file_of(two("[0,2]", "[2,4]"), 5), "1 bytes follow");
    expect_refused(file_of(two("[0,2]", "[2,4]"), 3), "2 to 4 of 3");
    expect_refused(file_of("{}", 4), "4 bytes follow");
}

TEST(Safetensors, every_shortened_file_is_refused) {
    const Bytes whole = safetensors_bytes(small_model());
    for (size_t bytes = 0; bytes < whole.size(); ++bytes)
        EXPECT_THROW(parse(Bytes(whole.begin(), whole.begin() + bytes)), Error) << bytes;
}

TEST(Safetensors, too_many_tensors_are_refused) {
    const Bytes bytes = file_of(two("[0,2]", "[2,4]"), 4);
    EXPECT_EQ(parse(bytes, {.tensors = 2}).tensors.size(), 2u);
    expect_error(
        Exit::model,
        [&] {
            parse(file_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                          R"("b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                          R"("c":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
                  {.tensors = 2});
        },
        "more than 2 tensors");
}

TEST(Safetensors, archives_of_torch_are_refused_with_the_way_out) {
    const TemporaryFolder folder;
    const auto refused = [&](const std::string& name, std::string_view content) {
        write_file(folder / name, content);
        expect_error(
            Exit::model, [&] { read_safetensors(folder / name); }, name, "--weights FILE --epochs 0");
    };
    refused("zip.safetensors", "PK\x03\x04 and so on");
    refused("pickle.bin", "\x80\x02}q.and so on");
}

TEST(Safetensors, what_could_not_be_read_back_is_not_written) {
    TensorFile twice = small_model();
    twice.tensors.push_back(twice.tensors[0]);
    EXPECT_THROW(safetensors_bytes(twice), Error);
    TensorFile short_data = small_model();
    short_data.tensors[0].data.pop_back();
    EXPECT_THROW(safetensors_bytes(short_data), Error);
}

}  // namespace
}  // namespace fp
