// The tensors of a PyTorch archive: found in its pickle, and copied out of its storages.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/safetensors.h"
#include "engine/io/torch_archive.h"

namespace fp {

// A tensor as the pickle describes it: element (i, j, ...) is value offset + i stride[0] + j stride[1] + ... of a
// storage.
struct TorchTensor {
    std::string storage;  // its key
    Dtype dtype = Dtype::f32;
    int64_t values = 0;  // of the storage
    int64_t offset = 0;
    std::vector<int64_t> shape = {}, strides = {};
};

// The tensor that this value is; none where it is no tensor of a type that is read, and then `reason` says why.
// Exit::model for a tensor whose description makes no sense.
std::optional<TorchTensor> tensor_at(const Pickle&, PickleRef, const std::string& where, std::string& reason);

// Whether it is a tensor, of any type.
bool is_tensor(const Pickle&, PickleRef);

// Copies tensors out of storages, each of which is read and checked once.
class TorchStorages {
public:
    TorchStorages(const ByteSource&, const TorchArchive&, const std::string& file);
    TensorEntry copy(const std::string& name, const TorchTensor&);

private:
    const Bytes& storage(const std::string& key, Dtype, const std::string& where);

    const ByteSource& source_;
    const TorchArchive& archive_;
    std::string file_;
    uint64_t bytes_left_;  // that the copies may still take
    std::map<std::string, Bytes> read_ = {};
};

}  // namespace fp
