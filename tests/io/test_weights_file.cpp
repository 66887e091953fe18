#include "engine/io/weights_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/io/zip_of.h"
#include "tests/source_dir.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Shape = std::vector<int64_t>;

// make_torch.py wrote these.
WeightsFile fixture(const std::string& name) { return read_weights(source_dir() / "tests/io/fixtures/torch" / name); }

WeightsFile parse(const std::string& bytes) { return parse_weights(as_bytes(bytes), "w.pth"); }

template <class... Parts>
void expect_refused(const std::string& bytes, const Parts&... parts) {
    expect_error(
        Exit::model, [&] { parse(bytes); }, "w.pth: ", parts...);
}

std::vector<float> quarters(int count, int start) {
    std::vector<float> out;
    for (int i = 0; i < count; ++i) out.push_back(float(start + i) / 4);
    return out;
}

void expect_tensor(const WeightsFile& file,
                   const std::string& name,
                   const Shape& shape,
                   const std::vector<float>& values) {
    const TensorEntry* entry = file.content.find(name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(entry->shape, shape) << name;
    EXPECT_EQ(as_f32(*entry), values) << name;
}

// The network of small() in make_torch.py.
void expect_small(const WeightsFile& file, const std::string& prefix = "") {
    EXPECT_EQ(file.content.tensors.size(), 7u);
    expect_tensor(file, prefix + "conv.weight", {2, 3, 1, 1}, quarters(6, 0));
    expect_tensor(file, prefix + "conv.bias", {2}, quarters(2, 10));
    expect_tensor(file, prefix + "bn.running_var", {2}, quarters(2, 50));
    ASSERT_NE(file.content.find(prefix + "bn.num_batches_tracked"), nullptr);
    EXPECT_EQ(values_of<int64_t>(*file.content.find(prefix + "bn.num_batches_tracked")), std::vector<int64_t>{0});
}

TEST(WeightsFile, every_type_and_every_way_to_lie_in_a_storage) {
    for (const char* name : {"kinds.pth", "kinds_old.pth"}) {
        SCOPED_TRACE(name);
        const WeightsFile file = fixture(name);
        EXPECT_EQ(file.content.tensors.size(), 16u);
        EXPECT_THAT(file.left_out, IsEmpty());
        expect_tensor(file, "conv.weight", {2, 3, 1, 1}, quarters(6, 0));
        expect_tensor(file, "half", {3}, quarters(3, 8));
        expect_tensor(file, "bfloat", {3}, quarters(3, 12));
        expect_tensor(file, "double", {3}, quarters(3, 16));
        expect_tensor(file, "empty", {0, 4}, {});
        expect_tensor(file, "transposed", {3, 2}, {5, 5.75f, 5.25f, 6, 5.5f, 6.25f});
        expect_tensor(file, "channels_last", {1, 2, 3, 4}, quarters(24, 30));
        expect_tensor(file, "shared.all", {8}, quarters(8, 100));
        expect_tensor(file, "shared.odd", {4}, {25.25f, 25.75f, 26.25f, 26.75f});
        expect_tensor(file, "shared.tail", {2}, quarters(2, 106));
        expect_tensor(file, "expanded", {3}, {15, 15, 15});
        expect_tensor(file, "parameter", {2}, quarters(2, 64));
        EXPECT_EQ(file.content.find("half")->dtype, Dtype::f16);
        EXPECT_EQ(file.content.find("bfloat")->dtype, Dtype::bf16);
        EXPECT_EQ(values_of<int64_t>(*file.content.find("bn.num_batches_tracked")), std::vector<int64_t>{-5});
        EXPECT_EQ(values_of<int32_t>(*file.content.find("int")), (std::vector<int32_t>{1, -2, 3}));
        EXPECT_EQ(values_of<uint8_t>(*file.content.find("byte")), (std::vector<uint8_t>{0, 255}));
        EXPECT_EQ(file.content.find("bool")->data, (Bytes{std::byte{1}, std::byte{0}}));
    }
    EXPECT_THAT(fixture("kinds.pth").format, HasSubstr("zip"));
    EXPECT_THAT(fixture("kinds_old.pth").format, HasSubstr("before 1.6"));
}

TEST(WeightsFile, the_state_dict_is_found_and_said) {
    for (const char* name : {"protocol3.pth", "protocol4.pth", "protocol5.pth"}) {
        SCOPED_TRACE(name);
        expect_small(fixture(name));
        EXPECT_THAT(fixture(name).notes, IsEmpty());
    }
    expect_small(fixture("lightning.ckpt"), "model.");
    EXPECT_THAT(fixture("lightning.ckpt").notes, ElementsAre("\"state_dict\" of the file was taken"));
    expect_small(fixture("nested.pth"));
    EXPECT_THAT(fixture("nested.pth").notes,
                ElementsAre("\"model\" of the file was taken", "\"state_dict\" of the file was taken"));
    const WeightsFile two = fixture("two.pth");
    EXPECT_THAT(two.notes, ElementsAre("\"model\", \"model_ema\" of the file were taken"));
    for (const char* prefix : {"model.", "model_ema."})
        EXPECT_TRUE(std::ranges::any_of(two.content.tensors, [&](const auto& t) { return t.name.starts_with(prefix); }))
            << prefix;
    expect_error(
        Exit::model, [] { fixture("unnamed.pth"); }, "several sets of tensors", "a, b", "torch.save(");
}

TEST(WeightsFile, a_module_saved_whole_is_read_without_its_code) {
    for (const char* name : {"module.pt", "module_old.pt"}) {
        SCOPED_TRACE(name);
        expect_small(fixture(name));
        EXPECT_THAT(fixture(name).notes, ElementsAre(HasSubstr("torch.nn.modules.container.Sequential")));
    }
}

TEST(WeightsFile, what_is_no_tensor_of_a_type_that_is_read_is_named) {
    const WeightsFile file = fixture("unread_types.pth");
    EXPECT_EQ(file.content.tensors.size(), 1u);
    EXPECT_THAT(file.left_out.at("short"), HasSubstr("torch.ShortStorage"));
    EXPECT_THAT(file.left_out.at("unsigned"), HasSubstr("torch.uint16"));
    EXPECT_THAT(file.left_out.at("sparse"), HasSubstr("_rebuild_sparse_tensor"));
    EXPECT_EQ(file.left_out.at("step"), "no tensor");
    expect_error(
        Exit::model, [] { fixture("tensor.pt"); }, "one tensor");
    expect_error(
        Exit::model, [] { fixture("nothing.pt"); }, "no tensors", "model.state_dict()");
}

TEST(WeightsFile, content_decides_not_the_name) {
    const TemporaryFolder folder;
    std::filesystem::copy(source_dir() / "tests/io/fixtures/torch/protocol4.pth", folder / "w.safetensors");
    expect_small(read_weights(folder / "w.safetensors"));
    std::filesystem::copy(source_dir() / "tests/io/fixtures/dtypes.safetensors", folder / "w.pth");
    EXPECT_EQ(read_weights(folder / "w.pth").format, "safetensors");
    expect_error(
        Exit::model, [&] { read_safetensors(folder / "w.safetensors"); }, "archive of PyTorch", "--weights FILE");
}

TEST(WeightsFile, damage_is_found) {
    const std::string whole = read_file(source_dir() / "tests/io/fixtures/torch/protocol4.pth", 1 << 20);
    for (size_t bytes = 0; bytes < whole.size(); ++bytes) EXPECT_THROW(parse(whole.substr(0, bytes)), Error) << bytes;
    const TensorFile right = parse(whole).content;
    int refused = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
        std::string flipped = whole;
        flipped[i] = char(flipped[i] ^ 0x10);
        try {
            EXPECT_EQ(parse(flipped).content, right) << "byte " << i;  // where no reader looks
        } catch (const Error& error) {
            EXPECT_EQ(error.exit, Exit::model) << error.what();
            ++refused;
        }
    }
    EXPECT_GT(refused, 800);
    EXPECT_THAT(fixture("no_checksums.pth").notes, ElementsAre(HasSubstr("without checksums")));
}

TEST(WeightsFile, bytes_of_the_other_order_are_turned) {
    std::string big;
    for (const char* value : {"\x3f\x80\0\0", "\x40\0\0\0"}) big += std::string(value, 4);
    const WeightsFile file = parse(zip_of({{"a/data.pkl", dict_of({.shape = {2}, .strides = {1}, .values = 2})},
                                           {"a/byteorder", "big"},
                                           {"a/data/0", big}}));
    expect_tensor(file, "w", {2}, {1, 2});
    expect_refused(archive_of(dict_of({.shape = {1}, .strides = {1}}), {{"a/byteorder", "middle"}}), "byteorder",
                   "middle");
}

TEST(WeightsFile, a_stream_is_little_endian_whatever_machine_wrote_it) {
    std::string stream = read_file(source_dir() / "tests/io/fixtures/torch/kinds_old.pth", 1 << 20);
    const TensorFile right = parse(stream).content;
    const size_t value = stream.find('\x88', stream.find("little_endian"));  // NEWTRUE
    ASSERT_NE(value, stream.npos);
    stream[value] = '\x89';
    EXPECT_EQ(parse(stream).content, right);
}

TEST(WeightsFile, python2_writes_an_ordered_dict_as_pairs) {
    const std::string pair =
        "]("
        "U\x01w" +
        tensor_op({.shape = {2, 2}, .strides = {1, 2}}) + "e";
    const WeightsFile file =
        parse(archive_of(pickle_of(name_op("collections", "OrderedDict") + tuple_op({"](" + pair + "e"}) + "R")));
    expect_tensor(file, "w", {2, 2}, {0, 2, 1, 3});
}

TEST(WeightsFile, a_tensor_stays_within_its_storage) {
    const auto with = [](const HandTensor& t) { return archive_of(dict_of(t)); };
    expect_tensor(parse(with({.shape = {3}, .strides = {1}, .offset = 1})), "w", {3}, {1, 2, 3});
    expect_refused(with({.shape = {4}, .strides = {1}, .offset = 1}), "w: its shape [4]", "storage of 4 values");
    expect_refused(with({.shape = {2}, .strides = {4}}), "goes beyond");
    expect_refused(with({.shape = {2}, .strides = {-1}}), "strides makes no sense");
    expect_refused(with({.shape = {-2}, .strides = {1}}), "shape makes no sense");
    expect_refused(with({.shape = {2}, .strides = {1}, .offset = -1}), "offset makes no sense");
    expect_refused(with({.shape = {2, 2}, .strides = {1}}), "shape makes no sense");
    expect_refused(with({.shape = {5}, .strides = {1}, .values = 5}), "5 values", "16 bytes");
    expect_refused(with({.shape = {2}, .strides = {INT64_MAX}, .offset = INT64_MAX, .values = INT64_MAX}),
                   "goes beyond");
    expect_refused(with({.shape = {INT64_MAX, 3}, .strides = {0, 0}}), "does not fit 64 bits");
    expect_refused(with({.shape = {1 << 20, 1 << 10}, .strides = {0, 0}}), "16 times the file's bytes");
    expect_refused(with({.shape = {2}, .strides = {1}, .key = "1"}), "storage 1 is missing");
    expect_tensor(parse(with({.shape = {1, 0, INT64_MAX}, .strides = {INT64_MAX, 1, 1}})), "w", {1, 0, INT64_MAX}, {});
    expect_tensor(parse(with({.shape = {1, 2}, .strides = {INT64_MAX, 2}})), "w", {1, 2}, {0, 2});
}

TEST(WeightsFile, nothing_of_a_pickle_is_executed) {
    const std::string call = name_op("posix", "system") + tuple_op({text_op("touch /tmp/executed")}) + "R";
    expect_refused(archive_of(pickle_of(call)), "posix.system", "not known");
    const WeightsFile file = parse(archive_of(
        pickle_of("}(" + text_op("w.x") + tensor_op({.shape = {1}, .strides = {1}}) + text_op("evil") + call + "u")));
    EXPECT_EQ(file.left_out.at("evil"), "no tensor");
    EXPECT_FALSE(std::filesystem::exists("/tmp/executed"));
}

TEST(WeightsFile, hostile_pickles_are_refused) {
    const auto refused = [](const std::string& ops, const auto&... parts) {
        expect_refused(archive_of(pickle_of(ops)), parts...);
    };
    refused("", "its stack is empty");
    refused("t", "no mark");
    refused("(N", "within a mark");
    refused("h\x07", "never stored");
    refused(std::string("r\xff\xff\xff\xff", 5), "its stack is empty");
    refused("X" + le(uint32_t(1) << 31), "cut off");
    refused("NNs", "its stack is empty");
    refused("NNNs", "no dict");
    refused("i", "opcode 105", "torch.save does not write");
    refused("I7\n", "opcode 73");
    refused("NNR", "no tuple");
    refused("c" + std::string(600, 'm') + "\nx\n", "too long");
    expect_refused(archive_of(std::string("\x80\x06N.", 4)), "protocol above 5");
    std::string idle;
    for (int i = 0; i < 2'000'000; ++i) idle += "(1";
    refused(idle, "more than 4000000 opcodes");
    // A million tuples in each other, and a dict in itself.
    refused("N" + std::string(1'000'000, '\x85'), "holds no dict");
    refused("}q" + std::string(1, '\0') + text_op("model") + "h" + std::string(1, '\0') + "s", "no tensors");
    // A module that holds itself twice has 2^n modules at depth n.
    const std::string module = name_op("m", "M") + ")\x81" + std::string("q\0", 2) + "}(" + text_op("_parameters") +
                               "}" + text_op("_modules") + "}(" + text_op("a") + std::string("h\0", 2) + text_op("b") +
                               std::string("h\0", 2) + "uub";
    refused(module, "nested");
    refused("}(" + text_op("a.b") + tensor_op({.shape = {1}, .strides = {1}}) + text_op("a.b") +
                tensor_op({.shape = {1}, .strides = {1}}) + "u",
            "a.b is there twice");
}

// Each of these would cost hours or gigabytes, were it not bounded: a few bytes name a large thing over and over.
TEST(WeightsFile, what_a_small_file_costs_is_bounded) {
    const auto refused = [](const std::string& ops, const auto&... parts) {
        expect_refused(archive_of(pickle_of(ops)), parts...);
    };
    const auto times = [](int count, const std::string& ops) {
        std::string out;
        for (int i = 0; i < count; ++i) out += ops;
        return out;
    };
    // Dicts in dicts, 30 times each, as Python 2 writes an OrderedDict: 30^5 ways lead to the innermost.
    std::string dict = "}";
    for (char level = 0; level < 6; ++level) {
        const std::string place(1, level), pair = "](" + text_op("model") + dict + "e";
        dict = name_op("collections", "OrderedDict") +
               tuple_op({"](" + pair + "q" + place + times(29, "h" + place) + "e"}) + "R";
    }
    refused(dict, "20000000 steps");

    const std::string name = text_op(std::string(500, 'm')) + std::string("q\0", 2);
    refused("(" + name + times(140'000, std::string("h\0h\0\x93", 5).replace(2, 2, text_op("x"))), "64 MiB");
    refused("(" + name_op(std::string(500, 'm'), "x") + std::string("q\0", 2) + times(140'000, std::string("h\0)R", 4)),
            "64 MiB");
    refused("Nr" + le(uint32_t(4'000'000)), "a place that no pickle");

    const HandTensor t{.shape = {0}, .strides = {1}, .key = std::string(513, 'k')};
    refused("}" + text_op("w") + tensor_op(t) + "s", "storage's key");
    expect_refused("\x80\x02\x8a\x0a" + std::string("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 11) +
                       pickle_of(int_op(1001)) + pickle_of("}") + dict_of(t) + pickle_of("]"),
                   "key has 513 bytes");
    refused("}(" + text_op(std::string(513, 'w')) + tensor_op({.shape = {0}, .strides = {1}}) + "u", "has 513 bytes");
    const std::string long_function =
        name_op("torch." + std::string(200, 'm'), "_rebuild_x") + ")R";  // is searched wherever it stands
    refused("}" + text_op("w") + long_function + "s", "no tensors");
}

TEST(WeightsFile, hostile_archives_are_refused) {
    const std::string pickle = dict_of({.shape = {1}, .strides = {1}});
    expect_tensor(parse(archive_of(pickle)), "w", {1}, {0});
    expect_refused(zip_of({}), "without data.pkl");
    expect_refused(zip_of({{"x.npy", ""}}), "NumPy", "save_file");
    expect_refused(archive_of(pickle, {{"a/constants.pkl", ""}}), "TorchScript", "state_dict()");
    expect_refused(archive_of(pickle, {{"a/code", "x", 8}}), "a/code", "compressed (method 8)");
    expect_refused(archive_of(pickle, {{"a/data/0", "x"}}), "a/data/0 is there twice");
    expect_refused(archive_of(pickle, {{"a/data.pkl", "", 0, 0}, {"b", "", 0, 4}}), "no header at 4");
    const std::string inner = zip_of({{"b", "xx"}});  // an entry whose content holds another's header
    expect_refused(zip_of({{"a", inner}, {"b", "xx", 0, 31}}), "a and b overlap");
    expect_refused(archive_of(pickle).substr(0, 100), "without its directory");
    expect_refused(archive_of(pickle, {{"b", "", 0, 0}}), "another name");
    expect_refused(archive_of(pickle, {{"b", "", 0, 1 << 30}}), "1073741824");
    expect_refused("PK\x03\x04", "without its directory");
}

TEST(WeightsFile, streams_that_torch_did_not_write_are_refused) {
    expect_refused("\x80\x02}.", "torch.save did not write");
    expect_refused("\x80\x02", "cut off");
    const std::string whole = read_file(source_dir() / "tests/io/fixtures/torch/kinds_old.pth", 1 << 20);
    for (size_t bytes = 2; bytes < whole.size(); ++bytes) expect_refused(whole.substr(0, bytes));
}

TEST(Zip, crc32_is_that_of_zip) {
    EXPECT_EQ(crc32(as_bytes("123456789")), 0xCBF43926u);
    EXPECT_EQ(crc32({}), 0u);
}

}  // namespace
}  // namespace fp
