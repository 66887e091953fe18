#include "engine/io/torch_archive.h"

#include <algorithm>
#include <array>

namespace fp {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMostPickle = 64 << 20;
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);  // 0x1950a86a20f9469cfc6c
constexpr int64_t kProtocol = 1001;

constexpr std::array<std::pair<std::string_view, int>, 17> kStorages{{{"DoubleStorage", 8},
                                                                      {"FloatStorage", 4},
                                                                      {"HalfStorage", 2},
                                                                      {"BFloat16Storage", 2},
                                                                      {"LongStorage", 8},
                                                                      {"IntStorage", 4},
                                                                      {"ShortStorage", 2},
                                                                      {"CharStorage", 1},
                                                                      {"ByteStorage", 1},
                                                                      {"BoolStorage", 1},
                                                                      {"ComplexFloatStorage", 8},
                                                                      {"ComplexDoubleStorage", 16},
                                                                      {"QInt8Storage", 1},
                                                                      {"QUInt8Storage", 1},
                                                                      {"QInt32Storage", 4},
                                                                      {"UntypedStorage", 1},
                                                                      {"_UntypedStorage", 1}}};

TorchArchive open_zip(const ByteSource& source, const std::string& file) {
    const std::vector<ZipEntry> entries = zip_entries(source, file);
    const auto is_named = [](std::string_view name) {
        return [name](const ZipEntry& e) { return e.name == name || e.name.ends_with("/" + std::string(name)); };
    };
    FP_REQUIRE(std::ranges::none_of(entries, [](const ZipEntry& e) { return e.name.ends_with(".npy"); }), Exit::model,
               file,
               ": is an archive of NumPy; in Python, safetensors.numpy.save_file(dict(numpy.load(FILE)), OUT) makes "
               "a file that is read");
    FP_REQUIRE(std::ranges::none_of(entries, is_named("constants.pkl")), Exit::model, file,
               ": is a TorchScript program; in Python, torch.save(torch.jit.load(FILE).state_dict(), OUT) makes a file "
               "that is read");
    const auto pickle = std::ranges::find_if(entries, is_named("data.pkl"));
    FP_REQUIRE(pickle != entries.end(), Exit::model, file,
               ": is a zip archive without data.pkl: torch.save wrote none");
    FP_REQUIRE(pickle->bytes <= kMostPickle, Exit::model, file, ": its data.pkl has ", pickle->bytes, " bytes; ",
               kMostPickle, " are allowed");
    const std::string folder = pickle->name.substr(0, pickle->name.size() - std::string_view("data.pkl").size());

    TorchArchive out{.format = "PyTorch's zip format"};
    for (const ZipEntry& e : entries) {
        if (e.name == folder + "byteorder") {
            FP_REQUIRE(e.bytes < 16, Exit::model, file, ": its byteorder has ", e.bytes, " bytes");
            const Bytes word = read_entry(source, e, file);
            const std::string order(reinterpret_cast<const char*>(word.data()), word.size());
            FP_REQUIRE(order == "little" || order == "big", Exit::model, file, ": its byteorder is ", printable(order));
            out.big_endian = order == "big";
        }
        if (e.name.starts_with(folder + "data/")) {
            const bool first = out.storages.emplace(e.name.substr(folder.size() + 5), e).second;
            FP_REQUIRE(first, Exit::model, file, ": entry ", printable(e.name), " is there twice");
        }
    }
    if (pickle->crc == 0) out.notes.push_back("it was saved without checksums: damage would not be found");
    out.pickle = parse_pickle(read_entry(source, *pickle, file), file);
    return out;
}

// The bytes per value of each storage of a stream, from the pickle's names of them:
// ("storage", class, key, device, number of values, view).
std::map<std::string, int> sizes_of(const Pickle& pickle, const std::string& file) {
    std::map<std::string, int> out;
    for (const PickleValue& value : pickle.values) {
        if (value.kind != Kind::persistent) continue;
        const auto& parts = pickle[value.args].items;
        if (parts.size() < 5 || pickle[parts[0]].text != "storage") continue;
        const int bytes = torch_value_bytes(pickle[parts[1]].text);
        FP_REQUIRE(bytes > 0, Exit::model, file, ": has a storage of the unknown class ",
                   printable(pickle[parts[1]].text));
        const std::string& key = pickle[parts[2]].text;
        FP_REQUIRE(key.size() <= kMostStorageKey, Exit::model, file, ": has a storage whose key has ", key.size(),
                   " bytes; ", kMostStorageKey, " are allowed");
        out[key] = bytes;
    }
    return out;
}

TorchArchive open_stream(const ByteSource& source, const std::string& file) {
    const Bytes head = read_part(source, 0, std::min(source.bytes, kMostPickle));
    uint64_t at = 0;
    const auto next = [&] {
        Pickle out = parse_pickle(std::span(head).subspan(at), file);
        at += out.bytes;
        return out;
    };
    const Pickle magic = next();
    FP_REQUIRE(
        magic.top().kind == Kind::unknown && magic.top().text == kMagic, Exit::model, file,
        ": is a pickle that torch.save did not write; in Python, torch.save(model.state_dict(), FILE) makes a file "
        "that is read");
    const Pickle protocol = next();
    FP_REQUIRE(protocol.top().integer == kProtocol, Exit::model, file, ": is of PyTorch's protocol ",
               protocol.top().integer, "; ", kProtocol, " is read");
    next();  // of the machine. Its byte order means nothing: PyTorch writes little-endian numbers on every machine
    TorchArchive out{.format = "PyTorch's format before 1.6"};
    out.pickle = next();
    const Pickle keys = next();
    const std::map<std::string, int> sizes = sizes_of(out.pickle, file);
    for (const PickleRef ref : keys.top().items) {
        const std::string& key = keys[ref].text;
        const auto size = sizes.find(key);
        FP_REQUIRE(size != sizes.end(), Exit::model, file, ": storage ", printable(key), " is not named by its pickle");
        uint64_t values = 0, bytes = 0;
        FP_REQUIRE(source.bytes - at >= 8, Exit::model, file, ": storage ", printable(key), " is cut off");
        source.read(at, std::as_writable_bytes(std::span(&values, 1)));
        at += 8;
        FP_REQUIRE(!__builtin_mul_overflow(values, uint64_t(size->second), &bytes) && bytes <= source.bytes - at,
                   Exit::model, file, ": storage ", printable(key), " has ", values, " values of ", size->second,
                   " bytes, of which ", source.bytes - at, " bytes are there");
        out.storages[key] = {.name = key, .begin = at, .bytes = bytes};
        at += bytes;
    }
    return out;
}

}  // namespace

int torch_value_bytes(std::string_view storage_class) {
    const auto name = storage_class.substr(storage_class.rfind('.') + 1);
    const auto row = std::ranges::find(kStorages, name, &std::pair<std::string_view, int>::first);
    return storage_class.starts_with("torch.") && row != kStorages.end() ? row->second : 0;
}

bool looks_like_torch(std::span<const std::byte> start) {
    const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
    const bool header =
        text.size() > 8 && text[8] == '{';  // of safetensors, whose length may look like a pickle's start
    const bool pickle = text.size() >= 2 && text[0] == '\x80' && uint8_t(text[1]) <= 5;
    return text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06") || (pickle && !header);
}

TorchArchive open_torch_archive(const ByteSource& source, const std::string& file) {
    Bytes start = read_part(source, 0, std::min<uint64_t>(source.bytes, 2));
    return start.size() == 2 && start[0] == std::byte{'P'} ? open_zip(source, file) : open_stream(source, file);
}

}  // namespace fp
