//! An ordered map that knows where each entry stands: a weight-balanced tree.
//!
//! All operations take time in proportion to its height, which is below 2.5 times the logarithm of
//! its length, whatever keys come in which order.

use std::cmp::Ordering;

/// One side of a node may weigh so many times the other.
const DELTA: usize = 3;

/// A rotation is a double one if the inner grandchild weighs this many times the outer.
const GAMMA: usize = 2;

/// Entries by their keys, and by where they stand.
#[derive(Clone, Debug)]
pub(super) struct Tree<K, V>(Link<K, V>);

type Link<K, V> = Option<Box<Node<K, V>>>;

#[derive(Clone, Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    size: usize,
    left: Link<K, V>,
    right: Link<K, V>,
}

impl<K, V> Default for Tree<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord, V> Tree<K, V> {
    pub(super) fn len(&self) -> usize {
        size(&self.0)
    }

    /// How many keys are less than this one: where it stands, or would.
    pub(super) fn rank(&self, key: &K) -> usize {
        let (mut link, mut rank) = (&self.0, 0);
        while let Some(node) = link {
            link = if node.key < *key {
                rank += size(&node.left) + 1;
                &node.right
            } else {
                &node.left
            };
        }
        rank
    }

    /// The entry that stands at `index`.
    pub(super) fn at(&self, mut index: usize) -> Option<(&K, &V)> {
        let mut link = &self.0;
        while let Some(node) = link {
            let before = size(&node.left);
            link = match index.cmp(&before) {
                Ordering::Less => &node.left,
                Ordering::Equal => return Some((&node.key, &node.value)),
                Ordering::Greater => {
                    index -= before + 1;
                    &node.right
                }
            };
        }
        None
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let mut link = &self.0;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                Ordering::Less => &node.left,
                Ordering::Equal => return Some(&node.value),
                Ordering::Greater => &node.right,
            };
        }
        None
    }

    /// Puts an entry in, in the place of one with the same key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.0 = insert(self.0.take(), key, value);
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (link, removed) = remove(self.0.take(), key);
        self.0 = link;
        removed.map(|it| it.value)
    }

    /// Takes the last entry out.
    pub(super) fn pop_last(&mut self) -> Option<(K, V)> {
        let node = self.0.take()?;
        let (link, last) = split_last(node);
        self.0 = link;
        Some((last.key, last.value))
    }
}

const fn size<K, V>(link: &Link<K, V>) -> usize {
    match link {
        Some(node) => node.size,
        None => 0,
    }
}

const fn weight<K, V>(link: &Link<K, V>) -> usize {
    size(link) + 1
}

fn insert<K: Ord, V>(link: Link<K, V>, key: K, value: V) -> Link<K, V> {
    let Some(mut node) = link else {
        return Some(Box::new(Node {
            key,
            value,
            size: 1,
            left: None,
            right: None,
        }));
    };
    match key.cmp(&node.key) {
        Ordering::Less => node.left = insert(node.left.take(), key, value),
        Ordering::Equal => node.value = value,
        Ordering::Greater => node.right = insert(node.right.take(), key, value),
    }
    balanced(node)
}

/// What is left, and the node that was taken out of it.
type Without<K, V> = (Link<K, V>, Link<K, V>);

fn remove<K: Ord, V>(link: Link<K, V>, key: &K) -> Without<K, V> {
    let Some(mut node) = link else {
        return (None, None);
    };
    let removed;
    match key.cmp(&node.key) {
        Ordering::Less => (node.left, removed) = remove(node.left.take(), key),
        Ordering::Greater => (node.right, removed) = remove(node.right.take(), key),
        Ordering::Equal => {
            let joined = join(node.left.take(), node.right.take());
            return (joined, Some(node));
        }
    }
    (balanced(node), removed)
}

/// Both sides of a node that is gone.
fn join<K, V>(left: Link<K, V>, right: Link<K, V>) -> Link<K, V> {
    let Some(left) = left else {
        return right;
    };
    let (left, mut middle) = split_last(left);
    middle.left = left;
    middle.right = right;
    balanced(middle)
}

fn split_last<K, V>(mut node: Box<Node<K, V>>) -> (Link<K, V>, Box<Node<K, V>>) {
    let Some(right) = node.right.take() else {
        return (node.left.take(), node);
    };
    let (rest, last) = split_last(right);
    node.right = rest;
    (balanced(node), last)
}

impl<K, V> Node<K, V> {
    const fn measure(&mut self) {
        self.size = size(&self.left) + size(&self.right) + 1;
    }
}

/// A node one side of which has got or lost one entry, balanced again.
fn balanced<K, V>(mut node: Box<Node<K, V>>) -> Link<K, V> {
    node.measure();
    let (left, right) = (weight(&node.left), weight(&node.right));
    if right > DELTA * left {
        let inner = node.right.as_ref();
        if inner.is_some_and(|it| weight(&it.left) >= GAMMA * weight(&it.right)) {
            turn_right(&mut node.right);
        }
        let mut link = Some(node);
        turn_left(&mut link);
        return link;
    }
    if left > DELTA * right {
        let inner = node.left.as_ref();
        if inner.is_some_and(|it| weight(&it.right) >= GAMMA * weight(&it.left)) {
            turn_left(&mut node.left);
        }
        let mut link = Some(node);
        turn_right(&mut link);
        return link;
    }
    Some(node)
}

/// Puts the right child on top of its parent.
fn turn_left<K, V>(link: &mut Link<K, V>) {
    let Some(mut node) = link.take() else {
        return;
    };
    let Some(mut top) = node.right.take() else {
        *link = Some(node);
        return;
    };
    node.right = top.left.take();
    node.measure();
    top.left = Some(node);
    top.measure();
    *link = Some(top);
}

/// Puts the left child on top of its parent.
fn turn_right<K, V>(link: &mut Link<K, V>) {
    let Some(mut node) = link.take() else {
        return;
    };
    let Some(mut top) = node.left.take() else {
        *link = Some(node);
        return;
    };
    node.left = top.right.take();
    node.measure();
    top.right = Some(node);
    top.measure();
    *link = Some(top);
}

#[cfg(test)]
impl<K, V> Tree<K, V> {
    /// Whether no side of any node weighs too much.
    pub(super) fn is_balanced(&self) -> bool {
        fn check<K, V>(link: &Link<K, V>) -> bool {
            link.as_ref().is_none_or(|it| {
                let (left, right) = (weight(&it.left), weight(&it.right));
                left <= DELTA * right
                    && right <= DELTA * left
                    && check(&it.left)
                    && check(&it.right)
            })
        }
        check(&self.0)
    }

    pub(super) fn height(&self) -> usize {
        fn height<K, V>(link: &Link<K, V>) -> usize {
            link.as_ref()
                .map_or(0, |it| 1 + height(&it.left).max(height(&it.right)))
        }
        height(&self.0)
    }
}
