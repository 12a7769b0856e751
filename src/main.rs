fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args[i + 1].parse().ok());
    wattscope::engine::run(wattscope::clock::Clock::since(value("--epoch").unwrap()), value("--memory-limit"));
}
