//! Graphs: what a capture gave, made executable, and launched.

use super::{
    api,
    capture::Node,
    driver, error,
    error::Answer,
    give,
    handle::Handle,
    stream,
    work::{Doing, Work, node_type},
};
use std::{
    ffi::{c_char, c_int, c_uint},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A graph.
pub struct Graph {
    board: usize,
    nodes: Arc<[Node]>,
    /// A handle for each node.
    handles: Vec<usize>,
    owned: Arc<Owned>,
}

/// `CUgraphNodeType`.
pub struct NodeKind(c_int);

/// A graph that can be launched.
pub struct Executable {
    board: usize,
    nodes: Arc<[Node]>,
    owned: Arc<Owned>,
    /// It allocates memory and has no node that frees it.
    keeps_memory: bool,
    launched: AtomicBool,
}

/// Memory that the nodes of a graph allocate: there from the capture until graph and executables are gone.
struct Owned(Vec<u64>);

impl Drop for Owned {
    fn drop(&mut self) {
        for address in &self.0 {
            super::memory::release(*address);
        }
    }
}

fn allocated(nodes: &[Node]) -> Vec<u64> {
    nodes
        .iter()
        .filter_map(|node| match node.work {
            Work::Allocate { address } => Some(address),
            _ => None,
        })
        .collect()
}

/// The graph of a capture.
pub fn captured(board: usize, nodes: Vec<Node>) -> Handle {
    let owned = Arc::new(Owned(allocated(&nodes)));
    register(board, nodes.into(), owned)
}

fn register(board: usize, nodes: Arc<[Node]>, owned: Arc<Owned>) -> Handle {
    let driver = driver();
    let handles = nodes.iter().map(|node| driver.nodes.insert(NodeKind(node_type(&node.work))).addr()).collect();
    driver.graphs.insert(Graph { board, nodes, handles, owned })
}

impl Executable {
    fn of(graph: &Graph) -> Self {
        let freed = |address: &u64| {
            graph.nodes.iter().any(|node| matches!(node.work, Work::Free { address: freed } if freed == *address))
        };
        Self {
            board: graph.board,
            nodes: Arc::clone(&graph.nodes),
            keeps_memory: !graph.owned.0.iter().all(freed),
            owned: Arc::clone(&graph.owned),
            launched: AtomicBool::new(false),
        }
    }

    /// Does its nodes, each after those that it comes after: in the order of the capture, or the other way round where the
    /// edges allow it.
    pub fn run(&self, doing: &Doing) -> Answer {
        for index in order(&self.nodes, driver().settings.late) {
            match &self.nodes[index].work {
                // Memory that the graph owns stays with it.
                Work::Free { address } if self.owned.0.contains(address) => {}
                work => work.run(doing)?,
            }
        }
        Ok(())
    }
}

/// An order of nodes that keeps to their edges.
fn order(nodes: &[Node], late: bool) -> Vec<usize> {
    if !late {
        return (0..nodes.len()).collect();
    }
    let mut done = vec![false; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(next) =
        (0..nodes.len()).rev().find(|node| !done[*node] && nodes[*node].after.iter().all(|before| done[*before]))
    {
        done[next] = true;
        order.push(next);
    }
    order
}

fn instantiate(executable: *mut Handle, graph: Handle) -> Answer {
    let graph = driver().graphs.get(graph)?;
    give(executable, driver().executables.insert(Executable::of(&graph)))
}

api! {
    fn cuGraphCreate(graph: *mut Handle, flags: c_uint) {
        let context = super::context::current()?;
        if flags != 0 {
            return Err(error::INVALID_VALUE);
        }
        give(graph, captured(context.board, Vec::new()))
    }

    fn cuGraphGetNodes(graph: Handle, nodes: *mut Handle, count: *mut usize) {
        let graph = driver().graphs.get(graph)?;
        if count.is_null() {
            return Err(error::INVALID_VALUE);
        }
        if nodes.is_null() {
            return give(count, graph.handles.len());
        }
        let room = count.read();
        for (index, handle) in graph.handles.iter().take(room).enumerate() {
            nodes.add(index).write(std::ptr::without_provenance_mut(*handle));
        }
        // Places that are left over are said to be null.
        (graph.handles.len()..room).for_each(|index| nodes.add(index).write(std::ptr::null_mut()));
        give(count, graph.handles.len().min(room))
    }

    fn cuGraphNodeGetType(node: Handle, kind: *mut c_int) {
        give(kind, driver().nodes.get(node)?.0)
    }

    fn cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, _flags: u64) {
        instantiate(executable, graph)
    }

    fn cuGraphInstantiate_v2(
        executable: *mut Handle, graph: Handle, _node: *mut Handle, _log: *mut c_char, _room: usize
    ) {
        instantiate(executable, graph)
    }

    fn cuGraphClone(clone: *mut Handle, graph: Handle) {
        let graph = driver().graphs.get(graph)?;
        give(clone, register(graph.board, Arc::clone(&graph.nodes), Arc::clone(&graph.owned)))
    }

    fn cuGraphDestroy(graph: Handle) {
        let graph = driver().graphs.remove(graph)?;
        for handle in &graph.handles {
            driver().nodes.remove(std::ptr::without_provenance_mut(*handle))?;
        }
        Ok(())
    }

    fn cuGraphExecDestroy(executable: Handle) {
        driver().executables.remove(executable).map(|_| ())
    }

    fn cuGraphUpload(executable: Handle, stream: Handle) {
        let stream = stream::of(stream)?;
        driver().executables.get(executable)?;
        if stream::is_captured(&stream) { Err(error::STREAM_CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }

    fn cuGraphLaunch(executable: Handle, stream: Handle) {
        let stream = stream::of(stream)?;
        let executable = driver().executables.get(executable)?;
        if executable.board != stream.board {
            driver().report.finding("a graph is launched on another card than the one it was captured on");
            return Err(error::INVALID_VALUE);
        }
        if executable.launched.swap(true, Ordering::Relaxed) && executable.keeps_memory {
            driver().report.finding("a graph that allocates memory and doesn't free it is launched a second time");
            return Err(error::INVALID_VALUE);
        }
        stream::submit(&stream, Work::Graph(executable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_order_keeps_to_the_edges() {
        // 0 → 1 → 3 and 0 → 2 → 3.
        let node = |after: &[usize]| Node { work: Work::Nothing, after: after.to_vec() };
        let nodes = [node(&[]), node(&[0]), node(&[0]), node(&[1, 2])];
        assert_eq!(order(&nodes, false), [0, 1, 2, 3]);
        assert_eq!(order(&nodes, true), [0, 2, 1, 3]);
    }
}
