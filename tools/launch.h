// A tool under a launcher (torchrun, mpirun, srun): it runs as several ranks, of which the first speaks and writes.
#pragma once

#include <exception>
#include <functional>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/parallel/comm.h"
#include "engine/run/device.h"
#include "engine/run/run_folder.h"

namespace fp {

// From the start of a program to its end. On ranks other than the first, std::cout and std::cerr show nothing.
class Launch {
public:
    explicit Launch(std::string tool);
    ~Launch();
    Launch(const Launch&) = delete;
    Launch& operator=(const Launch&) = delete;

    // Joins the other ranks, where a launcher has started several.
    void join();
    const Comm& ranks() const { return world(); }
    // What this rank has of its host where the options leave it open: a GPU, and a share of the cores.
    ComputeOptions of_rank(ComputeOptions) const;

    // The ranks meet once each of them has read its options and opened its inputs, before they do anything together, since
    // mistakes up to there are most often made by all alike: where a rank calls failed_to_start() instead, every rank
    // throws its fault. `used`: what this one computes on, if it computes; all must have one kind of device.
    void ready(const Kernels* used);
    void failed_to_start(const std::exception_ptr&);
    const std::vector<RankNote>& notes() const { return notes_; }  // of all ranks; none where there is one

    // What fail() adds to an error whose text ends so.
    void explain(std::string_view ending, std::string_view words) { explained_.emplace_back(ending, words); }

    // For every rank that has done its work: the greatest exit code, where some were stopped by a signal.
    int end(int code);
    // Ends the others too, which cannot know of it: shows what went wrong, and returns the exit code.
    int fail(const std::exception_ptr&);

private:
    int cores_of_host() const;
    void show(const std::string& who, const std::string& what) const;

    // Takes everything and shows nothing.
    struct Silence : std::streambuf {
        int overflow(int c) override { return c == traits_type::eof() ? 0 : c; }
        std::streamsize xsputn(const char*, std::streamsize n) override { return n; }
    };

    std::string tool_;
    bool ready_ = false;
    int cores_ = 1;  // of the host, that its ranks have
    std::vector<RankNote> notes_;
    std::vector<std::pair<std::string, std::string>> explained_;
    Silence silence_;
    std::streambuf *out_, *err_;  // as they were
};

}  // namespace fp
