// A step that is run again and again, captured as graphs of the device where that is possible (CUDA graphs) and
// replayed.
//
// The first two runs with the same memory and inputs are ordinary; the third is captured; later ones are replayed with
// the addresses of the third. Other memory or inputs start this again. A step that draws random numbers is never
// captured, since its calls change. Allocating, waiting and copying to the host are illegal while the device's part of
// a step is captured.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "engine/core/session.h"

namespace fp {

// What a step reads from outside the session: the number of images, and the addresses of images and labels.
struct StepInputs {
    int n = 0;
    std::array<const void*, 2> at{};
    bool operator==(const StepInputs&) const = default;
};

class StepGraph {
public:
    enum class Reads {
        parameters,  // the step's calls read the parameters themselves
        derived,     // they read values derived from the parameters: a changed parameter starts this again
    };
    StepGraph(Session& session, Reads reads) : session_(session), reads_(reads) {}
    ~StepGraph() { drop(); }
    StepGraph(const StepGraph&) = delete;
    StepGraph& operator=(const StepGraph&) = delete;

    // A part of a step. With a part of `both` the whole step runs call by call each time.
    struct Part {
        enum Where {
            device,  // calls of the device, the same each time: captured
            host,    // work of the host between them: runs each time
            both,    // calls of the device that depend on work of the host
        } where;
        std::function<void()> work;
    };
    // Runs the parts in order. A capture that fails runs the step call by call, as every later one of the session, and
    // says so on stderr. A replay that fails throws, since part of the step may have run.
    void run(const StepInputs& inputs, const std::vector<Part>& parts);

private:
    // What a captured step depends on.
    struct Addresses {
        int64_t arena = -1;
        const void* scratch = nullptr;
        int64_t weights = 0;
        StepInputs inputs;
        bool operator==(const Addresses&) const = default;
    };
    Addresses addresses(const StepInputs&) const;
    const Graph* device() const { return session_.network().kernels().graph; }
    bool may_capture(const std::vector<Part>&) const;
    void run_parts(const StepInputs&, const std::vector<Part>&);
    void capture(const std::vector<Part>&);
    void drop() noexcept;
    void give_up() noexcept;

    Session& session_;
    Reads reads_;
    bool random_ = false;  // whether the last run drew random numbers
    Addresses last_;
    int runs_ = 0;               // with the addresses of last_
    std::vector<void*> graphs_;  // one per part of the device
};

}  // namespace fp
