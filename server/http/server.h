// SPDX-License-Identifier: MIT
// The HTTP server (http.listen, http.tls): one thread with an event loop of its own, HTTP/1.1 as Boost.Beast
// parses it (connection.cpp), TLS as everywhere else. Certificates and trusted proxies follow a reload by themselves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "xmpp/result.h"

namespace server {
class Server;
namespace net { class Handover; }
}

namespace server::http {

class HttpServer {
public:
    // Opens all addresses of the configuration, or says why one of them cannot be opened. `left`: what the process before
    // this one listened on.
    static xmpp::Result<std::unique_ptr<HttpServer>, std::string> start(Server& server, net::Handover& left);
    // Lets requests that are being answered come to their end. Before Server::stop().
    ~HttpServer();

    struct Addresses { std::vector<std::string> http, https; };
    const Addresses& addresses() const;   // as bound: port 0 resolved
    void hand_over(net::Handover& next) const;

private:
    class State;
    explicit HttpServer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace server::http
