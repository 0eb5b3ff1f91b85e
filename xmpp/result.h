// SPDX-License-Identifier: MIT
// A value or the reason why there is none. For what peers and the world do wrong; bugs assert or throw.
#pragma once

#include <cassert>
#include <optional>
#include <utility>
#include <variant>

namespace xmpp {

// Marks a value as an error on its way into a Result: `return Failure{StreamError{...}};`
template <class E>
struct Failure {
    E error;
};
template <class E>
Failure(E) -> Failure<E>;

template <class T, class E>
class [[nodiscard]] Result {
public:
    Result(T value) : state_{std::in_place_index<0>, std::move(value)} {}
    template <class F>
    Result(Failure<F> failure) : state_{std::in_place_index<1>, std::move(failure.error)} {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }
    T& value() { assert(ok()); return *std::get_if<0>(&state_); }
    const T& value() const { assert(ok()); return *std::get_if<0>(&state_); }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    const E& error() const { assert(!ok()); return *std::get_if<1>(&state_); }

private:
    std::variant<T, E> state_;
};

template <class E>
class [[nodiscard]] Result<void, E> {
public:
    Result() = default;
    template <class F>
    Result(Failure<F> failure) : error_{std::move(failure.error)} {}

    bool ok() const { return !error_; }
    explicit operator bool() const { return ok(); }
    const E& error() const { assert(error_); return *error_; }

private:
    std::optional<E> error_;
};

}  // namespace xmpp
