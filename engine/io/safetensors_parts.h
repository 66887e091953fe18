// A safetensors file of which one tensor at a time is in memory.
#pragma once

#include <functional>

#include "engine/io/safetensors.h"

namespace fp {

class SafetensorsParts {
public:
    // Exit::model as read_safetensors.
    explicit SafetensorsParts(const std::filesystem::path&);

    const TensorFile& header() const { return header_; }  // its tensors have no data
    // Calls visit for each tensor, with its data, in the file's order. One block of memory serves all.
    void for_each(const std::function<void(const TensorEntry&)>& visit) const;

private:
    struct Place {
        uint64_t begin;  // bytes from the start of the file
        size_t bytes;
    };
    InputFile file_;
    TensorFile header_;
    std::vector<Place> places_;
};

}  // namespace fp
