// A shared object of kernels that is opened when its device is asked for: fairprune_NAME.so beside the program or in ../lib.
#pragma once

#include <string>

namespace fp {

class Module {
public:
    // Exit::device, with what the loader says, where there is none. It stays open until the program ends.
    explicit Module(const std::string& device);

    // Exit::device where it has no such function.
    template <class Function>
    Function function(const char* name) const {
        return reinterpret_cast<Function>(find(name));
    }

private:
    void* find(const char* name) const;

    std::string device_;
    void* library_ = nullptr;
};

}  // namespace fp
