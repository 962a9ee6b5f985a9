//! Many texts in one piece of memory, known by their number: millions of keys without an allocation each.

/// Texts one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    text: String,
    /// Where each text ends.
    ends: Vec<u64>,
}

impl Texts {
    /// No texts yet, with room for so many of so many bytes altogether.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// Texts of which is known where each ends; `None` where that cannot be.
    pub fn of(text: String, ends: Vec<u64>) -> Option<Self> {
        let fits = ends.is_sorted() && ends.last().copied().unwrap_or(0) == text.len() as u64;
        let is_text = ends.iter().all(|end| text.is_char_boundary(*end as usize));
        (fits && is_text).then_some(Self { text, ends })
    }

    /// All of them as one.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where each of them ends in it.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// Adds a text after the last one.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u64);
    }

    /// Adds a text that consists of several parts.
    pub fn push_parts<'t>(&mut self, parts: impl Iterator<Item = &'t str>) {
        parts.for_each(|part| self.text.push_str(part));
        self.ends.push(self.text.len() as u64);
    }

    /// Adds all texts of another one.
    pub fn append(&mut self, other: &Self) {
        let begin = self.text.len() as u64;
        self.text.push_str(&other.text);
        self.ends.extend(other.ends.iter().map(|end| begin + end));
    }

    /// The text with a number; empty where there is none.
    #[inline]
    pub fn get(&self, number: usize) -> &str {
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(number).copied().unwrap_or(begin);
        self.text.get(begin as usize..end as usize).unwrap_or("")
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Every text in its order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }

    /// Forgets all of them, and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_by_their_number() {
        let mut texts = Texts::default();
        for text in ["ann", "", "böb"] {
            texts.push(text);
        }
        texts.push_parts(["c", "", "d"].into_iter());
        let mut all = Texts::with_capacity(5, 20);
        all.push("first");
        all.append(&texts);
        assert_eq!(all.iter().collect::<Vec<_>>(), ["first", "ann", "", "böb", "cd"]);
        assert_eq!((all.get(3), all.get(5), all.len(), all.bytes()), ("böb", "", 5, 14));
        assert_eq!(Texts::of(all.text().to_owned(), all.ends().to_vec()), Some(all.clone()));
        assert_eq!(Texts::of("böb".to_owned(), vec![2, 4]), None);
        all.clear();
        assert!(all.is_empty() && all.get(0).is_empty());
    }
}
