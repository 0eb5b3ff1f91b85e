// SPDX-License-Identifier: MIT
// A tiny HTTP server on 127.0.0.1 and a port of the system's choice: one connection at a time, answers from a
// script, remembers what it was asked. Status 0 in the script: says nothing until the client hangs up.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace auth_test {

class HttpServer {
public:
    struct Request {
        std::string line, headers, body;
        std::chrono::steady_clock::time_point at;
    };

    // After the script's end every answer is 200.
    explicit HttpServer(std::vector<int> script = {}, std::string extra_header = {})
        : script_{std::move(script)}, extra_header_{std::move(extra_header)} {
        listening_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        if (bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
            listen(listening_, 64) != 0 ||
            getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
            throw std::runtime_error{"no port to listen on"};
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::thread{[this] { run(); }};
    }

    ~HttpServer() {
        shutdown(listening_, SHUT_RDWR);
        {
            const std::lock_guard lock{mutex_};
            stopping_ = true;
            if (connection_ >= 0) shutdown(connection_, SHUT_RDWR);
        }
        thread_.join();
        close(listening_);
    }

    std::string url(const std::string& path = "/send") const {
        return "http://127.0.0.1:" + std::to_string(port_) + path;
    }

    // Waits until that many requests have come; gives up after ten seconds.
    std::vector<Request> requests(std::size_t count) {
        std::unique_lock lock{mutex_};
        came_.wait_for(lock, std::chrono::seconds{10}, [&] { return requests_.size() >= count; });
        return requests_;
    }

private:
    void run() {
        while (true) {
            const int connection = accept(listening_, nullptr, nullptr);
            if (connection < 0 && errno == EINTR) continue;
            if (connection < 0) return;
            if (set_connection(connection)) serve(connection);
            set_connection(-1);
            close(connection);
        }
    }

    bool set_connection(int connection) {
        const std::lock_guard lock{mutex_};
        connection_ = connection;
        return !stopping_;
    }

    void serve(int connection) {
        std::string bytes;
        std::size_t end = std::string::npos;
        while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
            if (!read_more(connection, bytes)) return;
        }
        Request request;
        request.at = std::chrono::steady_clock::now();
        const std::size_t line = bytes.find("\r\n");
        request.line = bytes.substr(0, line);
        request.headers = bytes.substr(line, end - line + 2);
        const std::size_t at = request.headers.find("\r\nContent-Length: ");
        const std::size_t length = at == std::string::npos ? 0 : std::stoul(request.headers.substr(at + 18));
        while (bytes.size() < end + 4 + length) {
            if (!read_more(connection, bytes)) return;
        }
        request.body = bytes.substr(end + 4, length);
        int status = 200;
        {
            const std::lock_guard lock{mutex_};
            if (requests_.size() < script_.size()) status = script_[requests_.size()];
            requests_.push_back(std::move(request));
        }
        came_.notify_all();
        if (status == 0) {
            while (read_more(connection, bytes)) {
            }
            return;
        }
        const std::string answer = "HTTP/1.1 " + std::to_string(status) +
                                   " Scripted\r\nContent-Length: 2\r\nConnection: close\r\n" + extra_header_ +
                                   "\r\nok";
        (void)::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
    }

    static bool read_more(int connection, std::string& bytes) {
        char buffer[4096];
        const ssize_t count = recv(connection, buffer, sizeof buffer, 0);
        if (count > 0) bytes.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }

    const std::vector<int> script_;
    const std::string extra_header_;
    int listening_ = -1;
    int port_ = 0;
    std::mutex mutex_;
    std::condition_variable came_;
    std::vector<Request> requests_;  // guarded by mutex_, as are the two below
    int connection_ = -1;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace auth_test
