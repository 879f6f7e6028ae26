//! Series by number: pages, so that numbers may grow for ever while what is gone takes no memory.
use crate::record::SeriesId;
use crate::series::Series;

/// A page is given back when its last series is gone. Series that come together mostly go together.
const PAGE_SERIES: usize = 64;

type Page = Box<[Option<Series>; PAGE_SERIES]>;

#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    pages: Vec<Option<Page>>,
    len: usize,
}

impl SeriesTable {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, id: SeriesId) -> Option<&Series> {
        let (page, slot) = place(id);
        self.pages.get(page)?.as_ref()?[slot].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        let (page, slot) = place(id);
        self.pages.get_mut(page)?.as_mut()?[slot].as_mut()
    }

    pub(crate) fn insert(&mut self, id: SeriesId, series: Series) {
        let (page, slot) = place(id);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([const { None }; PAGE_SERIES]));
        if page[slot].replace(series).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, id: SeriesId) -> Option<Series> {
        let (page_at, slot) = place(id);
        let page = self.pages.get_mut(page_at)?.as_mut()?;
        let series = page[slot].take()?;
        self.len -= 1;
        if page.iter().all(Option::is_none) {
            self.pages[page_at] = None;
        }
        Some(series)
    }

    /// From `from` on, in the order of their numbers.
    pub(crate) fn iter_from(&self, from: SeriesId) -> impl Iterator<Item = (SeriesId, &Series)> {
        let (first, _) = place(from);
        self.pages
            .iter()
            .enumerate()
            .skip(first)
            .filter_map(|(number, page)| Some((number, page.as_ref()?)))
            .flat_map(|(number, page)| {
                page.iter().enumerate().filter_map(move |(slot, series)| {
                    let id = SeriesId((number * PAGE_SERIES + slot) as u32);
                    Some((id, series.as_ref()?))
                })
            })
            .skip_while(move |(id, _)| *id < from)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SeriesId, &mut Series)> {
        self.pages
            .iter_mut()
            .enumerate()
            .filter_map(|(number, page)| Some((number, page.as_mut()?)))
            .flat_map(|(number, page)| {
                page.iter_mut()
                    .enumerate()
                    .filter_map(move |(slot, series)| {
                        let id = SeriesId((number * PAGE_SERIES + slot) as u32);
                        Some((id, series.as_mut()?))
                    })
            })
    }
}

fn place(id: SeriesId) -> (usize, usize) {
    (id.0 as usize / PAGE_SERIES, id.0 as usize % PAGE_SERIES)
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::{PAGE_SERIES, SeriesTable};
    use crate::record::SeriesId;
    use crate::series::Series;

    #[test]
    fn pages_come_and_go() {
        let mut table = SeriesTable::default();
        let numbers = [0, 1, 63, 64, 1000];
        for number in numbers {
            table.insert(SeriesId(number), Series::new(Labels::default(), 0));
        }
        let listed = |table: &SeriesTable, from| -> Vec<u32> {
            table
                .iter_from(SeriesId(from))
                .map(|(id, _)| id.0)
                .collect()
        };
        assert_eq!(listed(&table, 0), numbers);
        assert_eq!(listed(&table, 2), [63, 64, 1000]);
        assert_eq!(listed(&table, 1001), [0; 0]);
        assert_eq!(table.len(), 5);
        assert!(table.get(SeriesId(2)).is_none());
        assert!(table.remove(SeriesId(64)).is_some());
        assert!(table.remove(SeriesId(64)).is_none());
        assert!(table.pages[64 / PAGE_SERIES].is_none());
        assert_eq!(table.len(), 4);
    }
}
