// What torch.save writes: a pickle, and the storages (blocks of numbers) that it names.
//
//   zip archive (PyTorch 1.6 and later)    NAME/data.pkl, NAME/data/KEY per storage, NAME/byteorder
//   one stream (before 1.6)                pickles of a magic number, the protocol, the machine, the object, the keys;
//                                          then per key the number of values (8 bytes) and the values
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/pickle.h"
#include "engine/io/zip.h"

namespace fp {

constexpr size_t kMostStorageKey = 512;  // bytes; torch.save writes a number

struct TorchArchive {
    Pickle pickle = {};
    std::map<std::string, ZipEntry, std::less<>> storages = {};  // by key
    bool big_endian = false;                                     // a stream never is
    std::string format = {};                                     // for messages
    std::vector<std::string> notes = {};
};

// The class of a storage ("torch.FloatStorage"), with the bytes of a value; 0 for a class that is unknown.
int torch_value_bytes(std::string_view storage_class);

// Whether the first 16 bytes (fewer where the file has fewer) are a zip archive's or a pickle's, and no safetensors
// file's.
bool looks_like_torch(std::span<const std::byte> start);

// Exit::model for anything else, also for what these containers hold besides: NumPy's archives, TorchScript, pickles
// that torch.save did not write.
TorchArchive open_torch_archive(const ByteSource&, const std::string& file);

}  // namespace fp
